"""The SQL of this package, from the .sql files beside it."""

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """The text of `sql/NAME.sql`."""
    return (files("adapters.postgres") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
