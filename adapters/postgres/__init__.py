"""The log in Postgres: shared by any number of nodes, and it lasts."""
