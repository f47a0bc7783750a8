"""One Server-Sent Events response over http.client.

http.client and not a gevent library, because it blocks: on gevent's sockets, which Locust puts in place of
the standard library's, a blocked reader costs a greenlet, and the same code runs in a plain process.
"""

import http.client
import socket
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from loadtests.decoder import Decoder, Frame

CONNECT_SECONDS = 10.0
READ_BYTES = 1 << 16
# Of the heartbeats' pace: a stream that says nothing for so long is dead.
SILENCE_FACTOR = 3.0


class Address(NamedTuple):
    """Where the gateway listens."""

    host: str
    port: int


class StreamError(Exception):
    """The stream could not be opened, or broke off; the text groups with others like it."""


class EventStream:
    """A response to `GET path`, as a context manager: open, whatever its status, when it is entered.

    Raises StreamError where there is no answer. `was_cut` says that `cut` ended it.
    """

    def __init__(self, address: Address, path: str, cursor: str | None = None) -> None:
        self.decoder = Decoder()
        self.was_cut = False
        self._path = path
        self._headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if cursor is not None:
            self._headers["Last-Event-ID"] = cursor
        self._connection = http.client.HTTPConnection(*address, timeout=CONNECT_SECONDS)
        self._sock: socket.socket | None = None

    def __enter__(self) -> "EventStream":
        try:
            self._connection.request("GET", self._path, headers=self._headers)
            # Kept: http.client gives its own away with a response that ends with the connection.
            self._sock = self._connection.sock
            self._response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise StreamError(f"no answer: {type(error).__name__}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()

    @property
    def status(self) -> int:
        """The response's status."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The response's header fields; names in any case."""
        return self._response.headers

    def frames(self) -> Iterator[Frame]:
        """The frames as they come, until the server ends the response. StreamError where it breaks off."""
        while True:
            try:
                data = self._response.read1(READ_BYTES)
            except TimeoutError as error:
                raise StreamError("the stream fell silent") from error
            except (OSError, http.client.HTTPException) as error:
                raise StreamError(f"the stream broke off: {type(error).__name__}") from error
            if not data:
                return
            yield from self.decoder.feed(data)

    def expect_heartbeats(self, seconds: float) -> None:
        """From now on, to hear nothing for three times so long is an error."""
        if self._sock is not None:
            self._sock.settimeout(seconds * SILENCE_FACTOR)

    def cut(self) -> None:
        """Breaks the connection, as a network does; whoever reads gets a StreamError.

        Does nothing to a stream that is still being opened, or has ended already.
        """
        if self._sock is None:
            return
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The other side was quicker: what its reader gets is not our doing.
            return
        self.was_cut = True


def with_query(path: str, parameters: Mapping[str, str]) -> str:
    """`path` with these query parameters."""
    return f"{path}?{urlencode(parameters)}"
