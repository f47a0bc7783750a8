"""How a caller gets its events, and what it may wish for."""

from enum import StrEnum
from typing import Literal


class Mode(StrEnum):
    """The two ways (docs/protocol.md, section 8)."""

    POLLING = "polling"
    STREAMING = "streaming"


Preference = Literal["auto", "polling", "streaming"]
"""A caller's own choice: a mode, or whatever the flags say."""
