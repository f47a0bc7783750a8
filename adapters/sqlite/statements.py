"""The SQL of this package, a file each."""

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return files("adapters.sqlite").joinpath("sql", f"{name}.sql").read_text()
