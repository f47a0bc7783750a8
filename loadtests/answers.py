"""Plain answers: a 304 of a legacy route beside a bare handler's, and polls with and without events.

Both servers live at once and are asked in turns, so that whatever else the machine does falls on both.
"""

import socket
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic, process_time

import orjson

from loadtests.crowd import Address, Crowd, RunFailedError, Wanted
from loadtests.measure import BATCH, LANES, PATIENCE_SECONDS, full_speed, verify
from loadtests.peer_measure import EVENT_BYTES, NOBODY
from loadtests.progress import Progress
from loadtests.publisher import Publisher
from loadtests.server import Kind, Server, gateway
from loadtests.streams import Head, MalformedError, parse_head

LEGACY_304 = "304 of a legacy route"
BARE_304 = "empty 304 of a bare handler"
POLL_EMPTY = "poll, no events"
POLL_FULL = "poll, 100 events"
POLLED_EVENTS = 100
POLL_PATH = "/api/v1/sync/poll"
LEGACY_PATH = "/api/v1/orders"
CONFIG = """
[server]
host = "127.0.0.1"

[log]
url = "memory://"

[[legacy]]
component = "orders"
path = "{path}"
upstream = "http://{host}:{port}/orders"
entity = "order"
key = "orderID"
shared = true
"""


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """So many requests of one sort, over 8 keep-alive connections, the next when the last is answered."""

    answer: str
    requests: int
    per_second: float
    cpu_us_per_request: float
    bytes_per_answer: int
    server_wait_share: float
    generator_cpu_share: float


class Asker:
    """Keep-alive connections to one server."""

    def __init__(self, address: Address, connections: int = LANES) -> None:
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
        return _answer(self._sockets[0])

    def times(self, request: bytes, rounds: int, status: int, length: int) -> None:
        """Asks so often on every connection; RunFailedError for another status or length of the body."""
        for _ in range(rounds):
            for sock in self._sockets:
                sock.sendall(request)
            for sock in self._sockets:
                head, body = _answer(sock)
                if (head.status, len(body)) != (status, length):
                    raise RunFailedError(
                        f"answered {head.status} with {len(body)} bytes instead of {status} with {length}"
                    )


def _answer(sock: socket.socket) -> tuple[Head, bytes]:
    data = b""
    while True:
        part = sock.recv(1 << 18)
        if not part:
            raise RunFailedError("the server closed a connection that asked")
        data += part
        try:
            parsed = parse_head(data)
            if parsed is None:
                continue
            head, body = parsed
            # A 304 has no body, whatever its length says (RFC 9110, section 15.4.5).
            length = 0 if head.status == 304 else int(head.headers["content-length"])
        except (MalformedError, KeyError, ValueError) as error:
            raise RunFailedError(f"an answer does not parse: {error}") from error
        if len(body) >= length:
            return head, body


@dataclass(frozen=True, slots=True)
class _Sort:
    """One sort of request, and the answer that each has to be."""

    name: str
    server: Server
    asker: Asker
    request: bytes
    status: int
    length: int


def measure_answers(
    bare: Kind, core: int, rounds: int, requests: int, progress: Progress
) -> list[AnswerResult]:
    """Some `requests` of each sort a round. RunFailedError where one is not answered as it must be."""
    progress.phase("plain answers: starting")
    with ExitStack() as stack:
        upstream = stack.enter_context(Server(bare, core))
        config = CONFIG.format(path=LEGACY_PATH, host=upstream.address.host, port=upstream.address.port)
        server = stack.enter_context(Server(gateway(config), core))
        sorts = _sorts(server, upstream, stack, progress)
        results = []
        for number in range(rounds):
            for sort in sorts if number % 2 == 0 else sorts[::-1]:
                progress.phase(f"plain answers: {sort.name}")
                results.append(_measure(sort, requests))
        return results


def _sorts(server: Server, bare: Server, stack: ExitStack, progress: Progress) -> list[_Sort]:
    asker = stack.enter_context(Asker(server.address))
    bare_asker = stack.enter_context(Asker(bare.address))
    start, end = _publish(server, progress)
    snapshot, _ = asker.once(asker.request(LEGACY_PATH))
    if snapshot.status != 200 or "etag" not in snapshot.headers:
        raise RunFailedError(f"the legacy route answered {snapshot.status}, or without an ETag")
    full = asker.request(f"{POLL_PATH}?cursor={start}&limit={POLLED_EVENTS}")
    empty = asker.request(f"{POLL_PATH}?cursor={end}")
    sizes = {}
    for request, events in ((full, POLLED_EVENTS), (empty, 0)):
        _, body = asker.once(request)
        if len(orjson.loads(body)["events"]) != events:
            raise RunFailedError(f"a poll that should have had {events} events was answered {body[:200]!r}")
        sizes[request] = len(body)
    matching = f"If-None-Match: {snapshot.headers['etag']}\r\n"
    return [
        _Sort(LEGACY_304, server, asker, asker.request(LEGACY_PATH, matching), 304, 0),
        _Sort(BARE_304, bare, bare_asker, bare_asker.request("/empty-304"), 304, 0),
        _Sort(POLL_EMPTY, server, asker, empty, 200, sizes[empty]),
        _Sort(POLL_FULL, server, asker, full, 200, sizes[full]),
    ]


def _publish(server: Server, progress: Progress) -> tuple[str, str]:
    """Publishes the events that are polled: the cursors before the first and at the last of them."""
    with (
        Crowd(server.address) as crowd,
        Publisher(crowd, lanes=1, event_bytes=EVENT_BYTES) as publisher,
    ):
        crowd.open([Wanted("", (0,))], PATIENCE_SECONDS, progress.tick)
        full_speed([NOBODY], 1, PATIENCE_SECONDS, crowd, publisher, progress.tick)
        start = publisher.last_cursor
        full_speed([NOBODY] * POLLED_EVENTS, BATCH, PATIENCE_SECONDS, crowd, publisher, progress.tick)
        verify("what is polled", crowd, publisher)
        return start, publisher.last_cursor


def _measure(sort: _Sort, requests: int) -> AnswerResult:
    rounds = max(1, requests // LANES)
    sort.asker.times(sort.request, max(1, rounds // 10), sort.status, sort.length)
    cpu, own, began = sort.server.cpu(), process_time(), monotonic()
    sort.asker.times(sort.request, rounds, sort.status, sort.length)
    seconds, own = monotonic() - began, process_time() - own
    used = sort.server.cpu().since(cpu)
    return AnswerResult(
        answer=sort.name,
        requests=rounds * LANES,
        per_second=rounds * LANES / seconds,
        cpu_us_per_request=used.total_ns / 1e3 / (rounds * LANES),
        bytes_per_answer=sort.length,
        server_wait_share=used.waited_ns / 1e9 / seconds,
        generator_cpu_share=own / seconds,
    )
