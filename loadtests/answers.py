"""Plain answers: a list and its 304 by the gateway, nginx's cache and a bare handler; polls with and without
events.

All servers live at once, on one core, and are asked in turns, so that whatever else the machine does falls on
all. The list is of one upstream, and its bytes are the same from each.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic, process_time

import orjson

from loadtests.access import CONFIG as WITH_TOKENS
from loadtests.access import stream_token
from loadtests.asker import Asker, Expected
from loadtests.browsers import fields_of
from loadtests.crowd import Crowd, RunFailedError, Wanted
from loadtests.measure import BATCH, PATIENCE_SECONDS, full_speed, verify
from loadtests.peer_measure import EVENT_BYTES, NOBODY
from loadtests.peer_servers.peer import MissingError
from loadtests.peer_servers.proxy_cache import FROM_CACHE, proxy_cache
from loadtests.progress import Progress
from loadtests.publisher import Publisher
from loadtests.server import Kind, Server, gateway

LIST_304 = "304 of a list"
LIST_200 = "200 with a list of 16 KB"
POLL_EMPTY = "poll, no events"
POLL_FULL = "poll, 100 events"
GATEWAY, WITH_TOKEN = "gateway", "gateway, token"
NGINX, BARE = "nginx proxy_cache", "bare aiohttp"
FROM_SNAPSHOT = "Cache-Status: tidegate; hit"
# As many that poll one list, each with header fields of its own.
BROWSERS = 1_000
# With few, a server that is faster than what asks it wakes for each request by itself.
CONNECTIONS = 32
POLLED_EVENTS = 100
POLL_PATH = "/api/v1/sync/poll"
LEGACY_PATH = "/orders"
CONFIG = """
[server]
host = "127.0.0.1"

[log]
url = "memory://"

[[legacy]]
component = "orders"
path = "{path}"
upstream = "{upstream}{path}"
entity = "order"
key = "orderID"
shared = true
"""


def by(server: str) -> str:
    """What a server is called where browsers ask it, each with header fields of its own."""
    return f"{server}, by browsers"


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """So many requests of one sort to one server, over 32 keep-alive connections, one under way on each."""

    answer: str
    server: str
    requests: int
    per_second: float
    cpu_us_per_request: float
    bytes_per_answer: int
    server_wait_share: float
    generator_cpu_share: float


@dataclass(frozen=True, slots=True)
class _Sort:
    """One sort of request to one server, in turns, and the answer that each has to be."""

    answer: str
    name: str
    server: Server
    asker: Asker
    requests: Sequence[bytes]
    expected: Expected


def measure_answers(
    bare: Kind, core: int, rounds: int, requests: int, progress: Progress
) -> tuple[list[AnswerResult], str]:
    """Some `requests` of each sort a round, and why nginx is missing ("": it is there).

    RunFailedError where one is not answered as it must be.
    """
    progress.phase("plain answers: starting")
    with ExitStack() as stack:
        upstream = stack.enter_context(Server(bare, core))
        sorts, missing = _list_sorts(upstream, core, stack)
        sorts += _poll_sorts(next(sort for sort in sorts if sort.name == GATEWAY), progress)
        results = []
        for number in range(rounds):
            for sort in sorts if number % 2 == 0 else sorts[::-1]:
                progress.phase(f"plain answers: {sort.answer}, {sort.name}")
                results.append(_measure(sort, requests))
        return results, missing


def _list_sorts(upstream: Server, core: int, stack: ExitStack) -> tuple[list[_Sort], str]:
    """A 304 and a 200 of each server that is here, and why nginx is not ("": it is)."""
    url = f"http://{upstream.address.host}:{upstream.address.port}"
    config = CONFIG.format(path=LEGACY_PATH, upstream=url)
    token = f"Authorization: Bearer {stream_token(0, '')}\r\n"
    browsers = [fields_of(index) for index in range(BROWSERS)]
    kinds = [
        (gateway(config), FROM_SNAPSHOT, {GATEWAY: [""], by(GATEWAY): browsers}),
        (gateway(config + WITH_TOKENS), FROM_SNAPSHOT, {WITH_TOKEN: [token]}),
    ]
    missing = ""
    try:
        kinds.append((proxy_cache(url), FROM_CACHE, {NGINX: [""], by(NGINX): browsers}))
    except MissingError as error:
        missing = str(error)
    bare = stack.enter_context(Asker(upstream.address, CONNECTIONS))
    _, body = bare.once(bare.request(LEGACY_PATH))
    sorts: list[_Sort] = []
    for kind, line, callers in kinds:
        server = stack.enter_context(Server(kind, core))
        asker = stack.enter_context(Asker(server.address, CONNECTIONS))
        for name, fields in callers.items():
            sorts += _of_list(name, server, asker, fields, Expected(200, body, line))
    sorts += [
        _Sort(LIST_304, BARE, upstream, bare, [bare.request("/empty-304")], Expected(304)),
        _Sort(LIST_200, BARE, upstream, bare, [bare.request(LEGACY_PATH)], Expected(200, body)),
    ]
    return sorts, missing


def _of_list(
    name: str, server: Server, asker: Asker, fields: Sequence[str], expected: Expected
) -> list[_Sort]:
    """A 304 and a 200 of a server to callers with these header fields, in turns."""
    # The first one asks the upstream; all others come from what it said.
    head, body = asker.once(asker.request(LEGACY_PATH, fields[0]))
    if (head.status, body) != (200, expected.body) or "etag" not in head.headers:
        raise RunFailedError(f"{name} answered {head.status}, with another body or without an ETag")
    matching = f"If-None-Match: {head.headers['etag']}\r\n"
    unchanged = [asker.request(LEGACY_PATH, one + matching) for one in fields]
    whole = [asker.request(LEGACY_PATH, one) for one in fields]
    return [
        _Sort(LIST_304, name, server, asker, unchanged, Expected(304, b"", expected.line)),
        _Sort(LIST_200, name, server, asker, whole, expected),
    ]


def _poll_sorts(of: _Sort, progress: Progress) -> list[_Sort]:
    """A poll without events, and one with 100, of the server of that sort."""
    start, end = _publish(of.server, progress)
    found = []
    for answer, target, events in (
        (POLL_EMPTY, f"{POLL_PATH}?cursor={end}", 0),
        (POLL_FULL, f"{POLL_PATH}?cursor={start}&limit={POLLED_EVENTS}", POLLED_EVENTS),
    ):
        request = of.asker.request(target)
        _, body = of.asker.once(request)
        if len(orjson.loads(body)["events"]) != events:
            raise RunFailedError(f"a poll that should have had {events} events was answered {body[:200]!r}")
        found.append(_Sort(answer, of.name, of.server, of.asker, [request], Expected(200, body)))
    return found


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
    rounds = max(1, requests // CONNECTIONS)
    # Nobody asked the gateway meanwhile, so that it did not ask the upstream: the first one makes it do so.
    sort.asker.once(sort.requests[0])
    sort.asker.times(sort.requests, max(1, rounds // 10), sort.expected)
    cpu, own, began = sort.server.cpu(), process_time(), monotonic()
    sort.asker.times(sort.requests, rounds, sort.expected)
    seconds, own = monotonic() - began, process_time() - own
    used = sort.server.cpu().since(cpu)
    return AnswerResult(
        answer=sort.answer,
        server=sort.name,
        requests=rounds * CONNECTIONS,
        per_second=rounds * CONNECTIONS / seconds,
        cpu_us_per_request=used.total_ns / 1e3 / (rounds * CONNECTIONS),
        bytes_per_answer=len(sort.expected.body),
        server_wait_share=used.waited_ns / 1e9 / seconds,
        generator_cpu_share=own / seconds,
    )
