"""The log in one SQLite file: one node, no server, and clients that resume across a restart."""

from adapters.sqlite.log import SqliteLog

__all__ = ["SqliteLog"]
