"""What asks for plain answers holds each to the status and the length that it has to have."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadtests.asker import READ_BYTES, Asker, Expected
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
        asker.times([asker.request("/")], 2, Expected(200, b"hello"))


def test_a_304_has_no_body_whatever_its_length_says() -> None:
    with replies(UNCHANGED) as address, Asker(address, 1) as asker:
        head, body = asker.once(asker.request("/", 'If-None-Match: "a"\r\n'))

    assert (head.status, body) == (304, b"")


def test_a_line_of_the_head_says_where_an_answer_comes_from() -> None:
    cached = OK.replace(b"Content", b"X-Cache-Status: HIT\r\nContent")
    with replies(cached, OK) as address, Asker(address, 1) as asker:
        asker.times([asker.request("/")], 1, Expected(200, b"hello", "X-Cache-Status: HIT"))
        with pytest.raises(RunFailedError, match="without 'X-Cache-Status: HIT'"):
            asker.times([asker.request("/")], 1, Expected(200, b"hello", "X-Cache-Status: HIT"))


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (Expected(304), "answered 200 with 5 bytes instead of 304 with 0"),
        (Expected(200, b"hello!"), "answered 200 with 5 bytes instead of 200 with 6"),
        (Expected(200, b"HELLO"), "5 other bytes"),
    ],
)
def test_another_answer_ends_the_run(expected: Expected, words: str) -> None:
    with (
        replies(OK) as address,
        Asker(address, 1) as asker,
        pytest.raises(RunFailedError, match=words),
    ):
        asker.times([asker.request("/")], 1, expected)


def test_an_answer_that_is_longer_than_one_read_is_held_to_all_of_it() -> None:
    body = b"x" * (READ_BYTES + 1)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with replies(answer) as address, Asker(address, 1) as asker:
        asker.times([asker.request("/")], 1, Expected(200, body))


def test_a_part_of_an_answer_is_not_the_answer() -> None:
    expected = Expected(200, b"hello")

    assert expected.is_met_by(OK)
    assert not any(expected.is_met_by(OK[:length]) for length in range(len(OK)))


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
