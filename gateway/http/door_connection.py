"""One connection at the front door (gateway/http/front_door.py)."""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

HandOver = Callable[[asyncio.Transport, bytes, bool], None]
"""Gives a connection to aiohttp with what came on it, and whether its caller will say no more."""

_UNASKED = "not asked for yet"
READ_BYTES = 65_536
"""So much of one connection is read at a time, or kept until its turn comes."""


class Door(Protocol):
    """What all connections of a server share."""

    silent: "dict[DoorConnection, float]"
    answered: int
    handed_over: int
    hand_over: HandOver

    def came(self, connection: "DoorConnection") -> None:
        """It has begun."""
        ...

    def arrived(self, connection: "DoorConnection", *, is_new: bool = False) -> None:
        """Something has come on it that is to be answered; `is_new`: for the first time."""
        ...

    def forget(self, connection: "DoorConnection") -> None:
        """It is over, or somebody else's."""
        ...

    def answer(self, connection: "DoorConnection", data: bytes) -> bool:
        """Answers what has come, if that is for this door; says whether it was."""
        ...


class DoorConnection(asyncio.Protocol):
    """One connection, until it is a stream's or aiohttp's. What it says is answered when it has its turn."""

    __slots__ = (
        "_data",
        "_door",
        "_has_ended",
        "_is_full",
        "_is_silent",
        "_remote",
        "is_clogged",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, door: Door) -> None:
        self._door = door
        self._data = b""
        self._has_ended = False
        self.is_clogged = False
        self._is_full = False
        self._is_silent = True
        self._remote: str | None = _UNASKED

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing of it has to be done: it has not asked, or does not read what it was answered."""
        return not self._data or self.is_clogged

    @property
    def remote(self) -> str | None:
        """The peer's address, as aiohttp's requests give it."""
        if self._remote is _UNASKED:
            peer = self.transport.get_extra_info("peername")
            self._remote = None if peer is None else str(peer[0] if isinstance(peer, list | tuple) else peer)
        return self._remote

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._door.came(self)

    def taken_back(self, transport: asyncio.Transport, data: bytes) -> None:
        """Goes on with a connection that was aiohttp's, on which `data` has come."""
        self.transport = transport
        transport.set_protocol(self)
        self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self._data:
            # Behind what waits for its turn.
            self._data += data
            if len(self._data) > READ_BYTES and not self._is_full:
                self._is_full = True
                self.transport.pause_reading()
            return
        self._data = data
        is_new = self._is_silent
        if is_new:
            self._is_silent = False
            self._door.silent.pop(self, None)
        self._door.arrived(self, is_new=is_new)

    def eof_received(self) -> bool:
        """True, which keeps the connection, where something that came is still to be answered."""
        self._has_ended = True
        return bool(self._data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._data = b""
        self._door.forget(self)

    def pause_writing(self) -> None:
        # Who does not read its answers is not asked for more requests.
        self.is_clogged = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.is_clogged = False
        self.transport.resume_reading()
        if self._data:
            self._door.arrived(self)

    def answer(self) -> None:
        """Answers what has come; what is not for this door goes to aiohttp, with all that came."""
        if self.is_clogged:
            return
        data, self._data = self._data, b""
        if not data or self.transport.is_closing():
            return
        door = self._door
        if not self._has_ended and not self._is_full and door.answer(self, data):
            door.answered += 1
        else:
            door.handed_over += 1
            door.forget(self)
            if self._is_full:
                self.transport.resume_reading()
            door.hand_over(self.transport, data, self._has_ended)
