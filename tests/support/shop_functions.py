"""Functions as an operator writes them, for routes whose upstream gives no JSON."""

import csv
import io
from typing import Any


def rows(body: bytes, content_type: str) -> list[dict[str, str]]:
    """The rows of a table in CSV; what is in any other format is an error."""
    if not content_type.startswith("text/csv"):
        raise ValueError(content_type)
    return list(csv.DictReader(io.StringIO(body.decode())))


def cents(item: dict[str, Any]) -> dict[str, Any]:
    """An item whose price is an integer."""
    return {"orderID": item["orderID"], "cents": round(float(item["price"]) * 100)}
