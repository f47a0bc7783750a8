"""The log in one SQLite file: one node, no server, and clients that resume across a restart."""

from adapters.sqlite.audit import SqliteAudit
from adapters.sqlite.log import SqliteLog
from adapters.sqlite.shared import SqliteShared

__all__ = ["SqliteAudit", "SqliteLog", "SqliteShared"]
