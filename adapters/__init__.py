"""Where events come from and where they are kept: logs and sources behind the domain's protocols."""
