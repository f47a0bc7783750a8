"""Ports of 127.0.0.1 that are a test's own for as long as it needs them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_port() -> Iterator[int]:
    """A port at which nobody listens, and that nobody else is given until the end.

    Whoever connects is refused. A server that is told to listen there can, and again when it is restarted:
    all set SO_REUSEADDR (socket(7)), and this socket only holds the port.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
