"""When the kernel ends a connection whose peer acknowledges nothing any more (tcp(7), TCP_USER_TIMEOUT)."""

import asyncio
import socket

_OF_A_HEARTBEAT = 0.75
"""A heartbeat comes a heartbeat and an eighth after the last write at most: with that it is less than two."""


def end_where_nobody_is(transport: asyncio.Transport, heartbeat_seconds: float) -> None:
    """A peer that vanished without a word is to be noticed within two heartbeats.

    What the gateway writes is not acknowledged then. Where the kernel has no such option, its own
    retransmissions end it, after a quarter of an hour.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing() and hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = max(1, round(heartbeat_seconds * _OF_A_HEARTBEAT * 1000))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
