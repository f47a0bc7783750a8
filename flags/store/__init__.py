"""Where flags and callers' choices are kept."""
