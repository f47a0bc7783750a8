"""JSON as bytes that are kept for long, and take no more memory than they are long. Pure."""

from typing import Any

import orjson


def kept_json(value: Any) -> bytes:
    """`value` as JSON. Raises TypeError where that can't be.

    What orjson gives keeps its whole buffer, 4 KiB, however short it is: a copy has its own size.
    """
    return bytes(memoryview(orjson.dumps(value)))
