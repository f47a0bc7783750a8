"""Many clients that take a whole list at once, by one way, and what that costs the server."""

import http.server
import json
import multiprocessing
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from loadtests.crowd import Address, RunFailedError
from loadtests.measure import LossError
from loadtests.server import Server

READ_BYTES = 1 << 18
SECONDS = 600.0
"""How long all clients together may take."""
WHOLE = 3
"""How many clients are looked at item by item; of the others the bytes are counted."""
_PROBE_PAUSE_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Way:
    """How a list is asked for. `last` stands at the end of what a client gets, and nowhere before it."""

    name: str
    target: str
    last: bytes
    items_of: Callable[[bytes], list[Any]]


@dataclass(frozen=True, slots=True)
class Taken:
    """What it took by one way; memory and CPU are the server's, `probe_*` of a request that came beside it.

    `peak_bytes` is how much more memory it had than before, at most. `began` is when they asked, `begun` when
    each had the beginning of its answer, and `ended` when each had all (`time.monotonic`).
    """

    way: str
    clients: int
    seconds: float
    bytes: int
    cpu_seconds: float
    peak_bytes: int
    probe_p50_ms: float
    probe_max_ms: float
    began: float
    begun: float
    ended: float


def events_in(raw: bytes) -> list[Any]:
    """The items of the `state` events in the body of a stream, chunks and head taken off."""
    items: list[Any] = []
    for block in _dechunked(raw).split(b"\n\n"):
        if block.startswith(b"event: state\n"):
            part = json.loads(block[block.index(b"data: ") + len(b"data: ") :])
            items += [item["data"] for item in part["items"]]
    return items


def answer_in(raw: bytes) -> list[Any]:
    """The items of an answer of `/state`."""
    return [item["data"] for item in json.loads(raw[raw.index(b"\r\n\r\n") + 4 :])["items"]]


def list_in(raw: bytes) -> list[Any]:
    """The items of the list as the upstream has it."""
    items: list[Any] = json.loads(raw[raw.index(b"\r\n\r\n") + 4 :])["docs"]
    return items


def _dechunked(raw: bytes) -> bytes:
    at, payload = raw.index(b"\r\n\r\n") + 4, bytearray()
    while at < len(raw):
        end = raw.find(b"\r\n", at)
        if end < 0:
            break
        size = int(raw[at:end], 16)
        payload += raw[end + 2 : end + 2 + size]
        at = end + 2 + size + 2
    return bytes(payload)


@contextmanager
def upstream(items: list[Mapping[str, Any]]) -> Iterator[str]:
    """A server of the list, in a thread: it is asked once or twice. Gives its URL, without a path."""
    body = json.dumps({"docs": items}).encode()

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *values: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def measure(server: Server, way: Way, clients: int, items: list[Any], tick: Callable[[str], None]) -> Taken:
    """All clients ask at once, after one that came before them. Raises LossError where one lacks an item."""
    [first], _ = _take(server.address, way, 1, server, tick)
    if way.items_of(first.kept) != items:
        raise LossError(way.name, 1, ["a client got other items than the list has"])
    cpu, before = server.cpu(), server.resident_bytes()
    answered: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    ends = multiprocessing.Event()
    probe = multiprocessing.Process(target=_probe, args=(server.address, answered, ends), daemon=True)
    probe.start()
    began = time.monotonic()
    peaks: list[int] = []
    taken, begun = _take(server.address, way, clients, server, tick, peaks)
    ended = time.monotonic()
    used = server.cpu().since(cpu)
    ends.set()
    waits = sorted(answered.get(timeout=60))
    probe.join()
    for one in taken[:WHOLE]:
        if way.items_of(one.kept) != items:
            raise LossError(way.name, 1, ["a client got other items than the list has"])
    # Heads and heartbeats differ by some bytes, and a list that lacks an item by more.
    sizes = sorted(one.size for one in taken)
    if sizes[-1] - sizes[0] >= len(json.dumps(items[0])):
        raise LossError(way.name, 1, [f"one client got {sizes[0]:,} bytes, another {sizes[-1]:,}"])
    return Taken(
        way=way.name,
        clients=clients,
        seconds=ended - began,
        bytes=sum(one.size for one in taken),
        cpu_seconds=used.total_ns / 1e9,
        peak_bytes=max([*peaks, before]) - before,
        probe_p50_ms=waits[len(waits) // 2] * 1000,
        probe_max_ms=waits[-1] * 1000,
        began=began,
        begun=begun,
        ended=ended,
    )


class _Client:
    __slots__ = ("keeps", "kept", "size", "sock", "tail")

    def __init__(self, address: Address, *, keeps: bool) -> None:
        self.sock = socket.create_connection(address)
        self.sock.setblocking(False)
        self.keeps = keeps
        self.kept = b""
        self.size = 0
        self.tail = b""


def _take(
    address: Address,
    way: Way,
    count: int,
    server: Server,
    tick: Callable[[str], None],
    peaks: list[int] | None = None,
) -> tuple[list[_Client], float]:
    """Has so many clients ask, and read until each has the last of it; and when each had the first of it."""
    clients = [_Client(address, keeps=number < WHOLE) for number in range(count)]
    asked = f"GET {way.target} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\n\r\n".encode()
    by_file = {client.sock.fileno(): client for client in clients}
    parts: dict[int, list[bytes]] = {file: [] for file, client in by_file.items() if client.keeps}
    left, silent, begun = set(by_file), set(by_file), 0.0
    deadline, looked = time.monotonic() + SECONDS, 0.0
    try:
        with select.epoll() as readable:
            for file, client in by_file.items():
                client.sock.send(asked)
                readable.register(file, select.EPOLLIN)
            while left:
                if time.monotonic() >= deadline:
                    raise RunFailedError(
                        f"{way.name}: {len(left)} clients waited for longer than {SECONDS:g} s"
                    )
                for file, _ in readable.poll(1.0):
                    silent.discard(file)
                    if _read(by_file[file], way, parts.get(file)):
                        left.discard(file)
                        readable.unregister(file)
                if not silent and not begun:
                    begun = time.monotonic()
                if peaks is not None and time.monotonic() >= looked + 0.2:
                    looked = time.monotonic()
                    server.refuse_fallen()
                    peaks.append(server.resident_bytes())
                    tick(f"{count - len(left):,} of {count:,} clients have all")
    finally:
        for client in clients:
            client.sock.close()
    for file, kept in parts.items():
        by_file[file].kept = b"".join(kept)
    return clients, begun


def _read(client: _Client, way: Way, kept: list[bytes] | None) -> bool:
    """Reads what is there; whether that was the last."""
    try:
        data = client.sock.recv(READ_BYTES)
    except BlockingIOError:
        return False
    if not data:
        raise LossError(way.name, 1, [f"a connection ended after {client.size:,} bytes"])
    client.size += len(data)
    if kept is not None:
        kept.append(data)
    end = client.tail + data[-len(way.last) - 200 :]
    client.tail = end[-len(way.last) - 200 :]
    return way.last in end


def _probe(address: Address, answered: Any, ends: Any) -> None:
    """Asks for something small, again and again, and notes how long each answer took."""
    asked = f"GET /healthz HTTP/1.1\r\nHost: {address.host}:{address.port}\r\n\r\n".encode()
    waits: list[float] = []
    with socket.create_connection(address) as connection:
        while not ends.is_set() or not waits:
            began = time.monotonic()
            connection.sendall(asked)
            if not connection.recv(READ_BYTES):
                break
            waits.append(time.monotonic() - began)
            time.sleep(_PROBE_PAUSE_SECONDS)
    answered.put(waits)
