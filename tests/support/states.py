"""What the tests of every table of states ask."""

from pathlib import Path


def drawing(of: str) -> str:
    """The section of docs/architecture.md with that heading."""
    page = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
    return page.partition(f"## {of}\n")[2].partition("\n## ")[0]
