"""Asks one server for plain answers over kept connections, and holds each answer to what it must be."""

import socket
from collections.abc import Sequence
from itertools import cycle
from typing import NamedTuple

from loadtests.crowd import Address, RunFailedError
from loadtests.framing import MalformedError
from loadtests.measure import PATIENCE_SECONDS
from loadtests.streams import Head, parse_head

READ_BYTES = 1 << 18


class Expected(NamedTuple):
    """What an answer has to be: its status, all of its body, and a line that its head has ("": any head).

    The line is for what only an answer from a cache says.
    """

    status: int
    body: bytes = b""
    line: str = ""

    def is_met_by(self, answer: bytes) -> bool:
        """Whether these bytes are such an answer, complete."""
        head, end, body = answer.partition(b"\r\n\r\n")
        return (
            bool(end)
            and body == self.body
            and head.startswith(b"HTTP/1.1 %d " % self.status)
            and self.line.encode() in head
        )


class Asker:
    """Keep-alive connections to one server."""

    def __init__(self, address: Address, connections: int) -> None:
        self._address = address
        self._sockets = [socket.create_connection(address, PATIENCE_SECONDS) for _ in range(connections)]

    def __enter__(self) -> "Asker":
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            sock.close()

    def request(self, target: str, headers: str = "") -> bytes:
        """The bytes of a GET; each of `headers` ends with CRLF."""
        host, port = self._address
        return f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\n{headers}\r\n".encode()

    def once(self, request: bytes) -> tuple[Head, bytes]:
        """Asks once, on the first connection."""
        self._sockets[0].sendall(request)
        return _rest_of(self._sockets[0], b"")[:2]

    def times(self, requests: Sequence[bytes], rounds: int, expected: Expected) -> None:
        """Asks so often on every connection; RunFailedError for an answer that is not as expected.

        A round is one request on each connection, all of them sent before the first answer is read. The
        requests are taken in turns.
        """
        turns = cycle(requests)
        for _ in range(rounds):
            for sock, request in zip(self._sockets, turns, strict=False):
                sock.sendall(request)
            for sock in self._sockets:
                # Most come in one piece. To parse each would cost more than to answer it.
                if not expected.is_met_by(data := sock.recv(READ_BYTES)):
                    _refuse(expected, *_rest_of(sock, data))


def _refuse(expected: Expected, head: Head, body: bytes, answer: bytes) -> None:
    """RunFailedError for an answer that is complete and not as expected."""
    if expected.is_met_by(answer):
        return
    if (head.status, len(body)) != (expected.status, len(expected.body)):
        raise RunFailedError(
            f"answered {head.status} with {len(body)} bytes instead of {expected.status} with "
            f"{len(expected.body)}"
        )
    if body != expected.body:
        raise RunFailedError(f"answered with {len(body)} other bytes than it should be")
    raise RunFailedError(f"answered without {expected.line!r} in its head: {head.headers}")


def _rest_of(sock: socket.socket, data: bytes) -> tuple[Head, bytes, bytes]:
    """Reads an answer of which `data` is there to its end: its head, its body and all of its bytes."""
    while True:
        try:
            parsed = parse_head(data)
            if parsed is not None:
                head, body = parsed
                # A 304 has no body, whatever its length says (RFC 9110, section 15.4.5).
                length = 0 if head.status == 304 else int(head.headers["content-length"])
                if len(body) >= length:
                    return head, body, data
        except (MalformedError, KeyError, ValueError) as error:
            raise RunFailedError(f"an answer does not parse: {error}") from error
        part = sock.recv(READ_BYTES)
        if not part:
            raise RunFailedError("the server closed a connection that asked")
        data += part
