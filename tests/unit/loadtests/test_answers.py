"""What asks for plain answers holds each to the status and the length that it has to have."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadtests.answers import Asker
from loadtests.crowd import Address, RunFailedError


@contextmanager
def replies(*answers: bytes) -> Iterator[Address]:
    """A server of one connection: one of these answers for each request, then it closes."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            for answer in answers:
                if not connection.recv(1 << 16):
                    return
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield Address(*listener.getsockname())
        thread.join()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
UNCHANGED = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"


def test_answers_that_are_as_they_must_be_pass() -> None:
    with replies(OK, OK) as address, Asker(address, 1) as asker:
        asker.times(asker.request("/"), 2, 200, 5)


def test_a_304_has_no_body_whatever_its_length_says() -> None:
    with replies(UNCHANGED) as address, Asker(address, 1) as asker:
        head, body = asker.once(asker.request("/", 'If-None-Match: "a"\r\n'))

    assert (head.status, body) == (304, b"")


@pytest.mark.parametrize(("status", "length"), [(304, 0), (200, 6)])
def test_another_status_or_length_ends_the_run(status: int, length: int) -> None:
    with (
        replies(OK) as address,
        Asker(address, 1) as asker,
        pytest.raises(RunFailedError, match="answered 200 with 5 bytes"),
    ):
        asker.times(asker.request("/"), 1, status, length)


def test_a_server_that_goes_away_ends_the_run() -> None:
    with (
        replies(OK[:-2]) as address,
        Asker(address, 1) as asker,
        pytest.raises(RunFailedError, match="closed a connection"),
    ):
        asker.once(asker.request("/"))


def test_an_answer_that_is_no_http_ends_the_run() -> None:
    with (
        replies(b"hello\r\n\r\n") as address,
        Asker(address, 1) as asker,
        pytest.raises(RunFailedError, match="does not parse"),
    ):
        asker.once(asker.request("/"))
