"""A port that a test keeps: a server can come and go there, and nobody else can."""

import socket
from contextlib import ExitStack

import pytest

from tests.support.ports import own_port


def test_nobody_listens_there() -> None:
    with own_port() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_server_can_listen_there_again_and_again() -> None:
    with own_port() as port:
        for host in ("127.0.0.1", "127.0.0.1", "0.0.0.0"):
            with socket.create_server((host, port)):
                socket.create_connection(("127.0.0.1", port)).close()


def test_who_asks_for_any_port_is_given_another_one() -> None:
    with ExitStack() as stack:
        kept = {stack.enter_context(own_port()) for _ in range(50)}
        assert len(kept) == 50
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", kept.pop()))
