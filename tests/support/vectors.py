"""Tables of what goes in and what has to come out, for a rule that stands in several places."""

import json
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "data"

MEMBER_SUFFIXES: list[tuple[str, str, str]] = [
    (member, entity, suffix)
    for member, entity, suffix in json.loads((_FOLDER / "member_suffixes.json").read_text(encoding="utf-8"))
]
"""Of a changed member: its name, its entity, and what follows `previous` and `new`."""

_TIMES = json.loads((_FOLDER / "rfc3339_vectors.json").read_text(encoding="utf-8"))

TIMES_KEPT: list[tuple[str, str]] = [(given, kept) for given, kept in _TIMES["kept"]]
"""Times of RFC 3339, and each as it is kept."""

TIMES_REFUSED: list[str] = _TIMES["refused"]
"""What is no time, or none that can be kept."""
