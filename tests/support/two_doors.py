"""Two gateways that differ in nothing but their front door, and what each says to the same bytes.

Both have the same log, flags, upstream and clock. What is drawn anew for each request or stream, and the date
of an answer, are left out of what is compared.
"""

import asyncio
import gzip
import re
import socket
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import orjson

from adapters.memory import MemoryLog
from gateway.http.front_door import FRONT_DOOR
from gateway.runtime.half_close import ENDS_WITH_INPUT
from gateway.service.settings import Settings
from gateway.service.wiring.http import Way
from tests.support.api import EVENTS, event
from tests.support.clock import ManualClock
from tests.support.gateway import GatewayThread, make_settings
from tests.support.http import DEADLINE_SECONDS
from tests.support.legacy import listed, order, route_settings
from tests.support.sse import FrameReader
from tests.support.tokens import auth_settings, bearer, mint

EPOCH = "twodoors00"
NOW = ManualClock().wall_ms() / 1000
MODIFIED = "Thu, 21 Nov 2024 10:00:00 GMT"
ORIGIN = "https://app.example"
COOKIE = "token"
FLAGS = {
    "live": {"stage": "live", "percentage": 100},
    "half": {"stage": "live", "percentage": 50},
    "off": {"stage": "off"},
    "ramp": {"stage": "rampdown", "sunset": "2027-01-01T00:00:00Z"},
    "done": {"stage": "complete"},
}
"""A component in each stage; `/legacy/NAME` is the list of each, and `free` has no flag."""
COMPONENTS = (*FLAGS, "free")
SNAPSHOTS = (
    *(name for name in COMPONENTS if name != "done"),
    "vary",
    "plain",
    "long",
    "coded",
    "shops/s1/orders",
)
"""The paths below `/legacy` that are answered from a snapshot."""

_CALM_TURNS = 12
_CHANGING = frozenset({b"date", b"request-id", b"deprecation"})
_REQUEST_ID = re.compile(rb"[0-9a-f]{32}")
_CHANGING_MEMBERS = ("clientId", "retryMs", "spreadMs")
_CONTROL = ("connected", "reset", "bye")


class Said(NamedTuple):
    """One answer: its status line, the fields that do not change by themselves, and its body or frames."""

    status: bytes
    fields: list[tuple[bytes, bytes]]
    body: Any


class Transcript(NamedTuple):
    """All that was said on a connection, what was no answer, and whether the gateway ended it by itself."""

    answers: list[Said]
    rest: bytes
    is_ended: bool


class TwoDoors:
    """`front` has the front door, `behind` leaves every connection to aiohttp until it is a stream."""

    def __init__(self, front: GatewayThread, behind: GatewayThread) -> None:
        self.front = front
        self.behind = behind

    def say(self, *pieces: bytes) -> tuple[Transcript, Transcript]:
        """What each says to `pieces`, one after the other on a connection of its own, and then no more."""
        return say(self.front, *pieces), say(self.behind, *pieces)


def say(gateway: GatewayThread, *pieces: bytes) -> Transcript:
    """What the gateway says to `pieces`, each of which comes by itself, and to the end after them."""
    said, is_ended = b"", False
    with socket.create_connection(("127.0.0.1", gateway.port), DEADLINE_SECONDS) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            if is_ended:
                break
            client.sendall(piece)
            settle(gateway)
            more, is_ended = _read_what_is_there(client)
            said += more
        if not is_ended:
            client.shutdown(socket.SHUT_WR)
            said += _read_to_the_end(client)
    settle(gateway)
    return _transcript(said, is_ended=is_ended)


def settle(gateway: GatewayThread) -> None:
    """Returns once the gateway waits for nobody but its clients, and streams that ended are gone."""

    async def is_calm() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            calm = 0
            while calm < _CALM_TURNS:
                await asyncio.sleep(0)
                calm = 0 if _is_busy(gateway) else calm + 1

    asyncio.run_coroutine_threadsafe(is_calm(), gateway.loop).result(DEADLINE_SECONDS)


def _is_busy(gateway: GatewayThread) -> bool:
    """Whether a request waits for its turn, or aiohttp has one that is no stream and whose body is there."""
    door = gateway.app.get(FRONT_DOOR)
    if door is not None and door._arrived:
        return True
    for handler in gateway.server.connections:
        request = handler._current_request
        if handler._messages:
            return True
        if request is None or request.get(ENDS_WITH_INPUT, False):
            continue
        if getattr(request.content, "_waiter", None) is None:
            return True
    return False


def _read_what_is_there(client: socket.socket) -> tuple[bytes, bool]:
    """What has come, and whether the other side has ended the connection."""
    client.setblocking(False)
    said = b""
    try:
        while more := client.recv(65_536):
            said += more
    except BlockingIOError:
        return said, False
    except ConnectionError:
        return said, True
    finally:
        client.settimeout(DEADLINE_SECONDS)
    return said, True


def _read_to_the_end(client: socket.socket) -> bytes:
    said = b""
    try:
        while more := client.recv(65_536):
            said += more
    except ConnectionError:
        return said
    return said


def _transcript(said: bytes, *, is_ended: bool) -> Transcript:
    answers = []
    while (end := said.find(b"\r\n\r\n")) >= 0:
        status, *lines = said[:end].split(b"\r\n")
        fields = [
            (name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)
        ]
        body, said = _body(status, dict(fields), said[end + 4 :])
        answers.append(Said(status, sorted(_lasting(fields)), body))
    return Transcript(answers, said, is_ended)


def _lasting(fields: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The fields, without the values of what changes."""
    return [(name, b"" if name in _CHANGING else value) for name, value in fields]


def _body(status: bytes, fields: dict[bytes, bytes], said: bytes) -> tuple[Any, bytes]:
    """The body of an answer, and what comes after it."""
    code = status.split(b" ")[1]
    if code in (b"100", b"204", b"304"):
        return b"", said
    if fields.get(b"content-type", b"").startswith(b"text/event-stream"):
        whole, rest = _unchunked(said) if b"transfer-encoding" in fields else (said, b"")
        return _frames(whole, is_coded=fields.get(b"content-encoding") == b"gzip"), rest
    if b"transfer-encoding" in fields:
        body, rest = _unchunked(said)
    else:
        size = int(fields.get(b"content-length", b"0"))
        body, rest = said[:size], said[size:]
    return _REQUEST_ID.sub(b"", body), rest


def _unchunked(said: bytes) -> tuple[bytes, bytes]:
    """What the chunks hold that came, and what comes after the last of them."""
    body = b""
    while said:
        size, _, said = said.partition(b"\r\n")
        length = int(size, 16)
        body, said = body + said[:length], said[length + 2 :]
        if length == 0:
            break
    return body, said


def _frames(whole: bytes, *, is_coded: bool) -> list[Any]:
    """What a stream begins or ends with. The rest comes when it has its turn, and perhaps too late."""
    if is_coded:
        whole = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(whole)
    frames = FrameReader().feed(whole)
    for frame in frames:
        for name in _CHANGING_MEMBERS:
            frame.data.pop(name, None)
    return [(frame.event, frame.id, frame.data) for frame in frames if frame.event in _CONTROL]


class _Lists(BaseHTTPRequestHandler):
    """An upstream's lists: `/NAME` with validators and fields of their own, the same for whoever asks."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length", "0"))
        self.rfile.read(size)
        is_coded = False
        name = self.path.partition("?")[0].strip("/")
        body = listed(order("A", name=name), *([order("B", text="x" * 70_000)] if name == "long" else []))
        status = 404 if name == "missing" else 200
        if name == "coded" and "gzip" in self.headers.get("Accept-Encoding", ""):
            is_coded, body = True, gzip.compress(body, mtime=0)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if is_coded:
            self.send_header("Content-Encoding", "gzip")
        if name != "plain":
            self.send_header("ETag", f'"{name}-{"gz" if is_coded else 1}"')
            self.send_header("Last-Modified", MODIFIED)
            self.send_header("Link", "</next>; rel=next")
            self.send_header("X-Place", "café")
        if name == "vary":
            self.send_header("Vary", "Accept-Language, X-Tenant")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _answer  # noqa: N815 - its names

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def _lists() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Lists)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(DEADLINE_SECONDS)
        server.server_close()


def _settings(directory: Path, url: str, auth: dict[str, Any]) -> Settings:
    flags = directory / "flags.json"
    flags.write_bytes(orjson.dumps({"version": 1, "flags": FLAGS}))
    routes = {name: name for name in (*COMPONENTS, "missing", "vary", "plain", "long", "coded")}
    routes["shops/{shop}/orders"] = "{shop}"
    return make_settings(
        server={"drain_seconds": 1.0, "hosts": ["shop.example"], "trusted_proxies": ["127.0.0.1/32"]},
        cors={"origins": [ORIGIN]},
        stream={"compression": "gzip" if auth["mode"] == "none" else "none"},
        flags={"store": f"file:{flags}"},
        auth=auth,
        entities={"order": {"id_alias": "orderID"}},
        legacy=[
            *(_route(f"/legacy/{path}", f"{url}/{name}", path) for path, name in routes.items()),
            _route("/legacy/own", f"{url}/own", "own", shared=False, reads=[]),
        ],
    )


def _route(path: str, upstream: str, name: str, **more: Any) -> dict[str, Any]:
    """A route that is polled once. No request is a write, which would bring another poll at some time."""
    component = name if name in COMPONENTS else "free"
    places = [re.sub(r"{.*}", "*", path) + end for end in ("", "/", "/*")]
    reads = [f"{method} {place}" for method in ("POST", "PUT", "DELETE", "PATCH") for place in places]
    given = {"component": component, "entity": f"{component}-entity", "reads": reads} | more
    return route_settings(upstream, 86_400.0, path=path, events="external", **given)


@contextmanager
def two_doors(directory: Path, *, with_tokens: bool) -> Iterator[TwoDoors]:
    """Both gateways, as long as it lasts, with five events of which the log still has the last three.

    `with_tokens` says whether they ask for tokens: in `Authorization`, in the query or in COOKIE.
    """
    auth = auth_settings(query_token=True, cookie=COOKIE) if with_tokens else {"mode": "none"}
    ways: tuple[Way, ...] = ("front_door", "handed_over")
    gateways = []
    with ExitStack() as stack:
        # A session decides on which side of a percentage its caller is: both give the same.
        stack.enter_context(patch("secrets.token_urlsafe", lambda size: "the-session"))
        url = stack.enter_context(_lists())
        for way in ways:
            clock = ManualClock()
            log = MemoryLog(clock, max_events=3, max_age_seconds=1e9, max_bytes=2**26)
            log.epoch = EPOCH
            home = directory / way
            home.mkdir()
            gateway = GatewayThread(_settings(home, url, auth), way=way, clock=clock, log=log)
            gateway.start()
            stack.callback(gateway.stop)
            # A body that never comes is not waited for long once its request is answered.
            gateway.server._kwargs["lingering_time"] = 0.05
            _fill(gateway)
            gateways.append(gateway)
        yield TwoDoors(*gateways)
    for gateway in gateways:
        assert gateway.errors == []


def _fill(gateway: GatewayThread) -> None:
    name, token = bearer(mint("shop", publish=["*"], subscribe=["*"], now=NOW))
    body = orjson.dumps([event(number) for number in range(5)])
    fields = f" HTTP/1.1\r\nHost: localhost\r\n{name}: {token}\r\n"
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    [answer], _, _ = say(gateway, f"POST {EVENTS}{fields}{kind}".encode() + body)
    assert answer.status == b"HTTP/1.1 201 Created"
    for path in SNAPSHOTS:
        # The first answer may have waited for the poll that this one needs not.
        for _ in range(2):
            [answer], _, _ = say(gateway, f"GET /legacy/{path}{fields}\r\n".encode())
        assert (b"cache-status", b"tidegate; hit") in answer.fields, path
