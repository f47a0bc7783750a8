"""Which channels a stream is for, and as whom it is there."""

from typing import NamedTuple

MAX_CHANNELS = 20
"""How many channels one stream may name, those of presence and of broadcasts together."""


class Attendance(NamedTuple):
    """`user` is there in the channels `presence`, and receives what is broadcast in `channels`."""

    user: str
    presence: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
