"""Publishes numbered events over a few keep-alive connections, on the crowd's loop."""

import random
import select
import socket
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson

from loadtests.crowd import Crowd, RunFailedError
from loadtests.framing import MalformedError
from loadtests.streams import parse_head


def numbered(lane: int, number: int, entity: str, sent_ns: int) -> dict[str, Any]:
    """An event of a benchmark as its publisher writes it."""
    entity_type, _, entity_id = entity.partition(":")
    return {
        "eventType": "stage_change",
        "entityType": entity_type,
        "entityId": entity_id,
        "action": "update",
        "data": {"orderStage": "paid", "lane": lane, "seq": number, "sentNs": sent_ns},
    }


def sized_event(entity: str, lane: int, number: int, sent_ns: int, size: int) -> dict[str, Any]:
    """An event of exactly `size` bytes as compact JSON, of that entity or of none ("").

    Raises ValueError where what the check needs does not fit into so few.
    """
    data: dict[str, Any] = {"lane": lane, "seq": number, "sentNs": sent_ns, "pad": ""}
    event: dict[str, Any] = {"eventType": "tick", "data": data}
    if entity:
        event["entityType"], _, event["entityId"] = entity.partition(":")
    room = size - len(orjson.dumps(event))
    if room < 0:
        raise ValueError(f"an event of this benchmark has at least {size - room} bytes, not {size}")
    data["pad"] = "x" * room
    return event


_STAGES = ("billed", "paid", "packed", "shipped", "delivered")
_FIRST_NAMES = ("Ada", "Bruno", "Chiara", "Dag", "Eva", "Femke", "Goran", "Hanna", "Ines", "Jan", "Klara")
_LAST_NAMES = ("Berg", "Costa", "Conti", "Nilsen", "Novak", "de Vries", "Ilic", "Weber", "Moreau", "Lind")


def order_event(lane: int, number: int, sent_ns: int) -> dict[str, Any]:
    """A change of an order, some 550 bytes of JSON: its new state and its old one, as an upstream gives them.

    What stands in it comes from its lane and number alone.
    """
    draw = random.Random(lane << 32 | number)
    stage = draw.randrange(1, len(_STAGES))
    order = {
        "orderID": f"ORDER-{draw.randrange(100_000):05d}",
        "customer": f"{draw.choice(_FIRST_NAMES)} {draw.choice(_LAST_NAMES)}",
        "amount": draw.randrange(1_000, 250_000) / 100,
        "paymentStatus": draw.choice(("open", "paid", "refunded")),
        "overallStatus": draw.choice(("active", "on hold", "closed")),
    }
    return {
        "eventType": "stage_change",
        "entityType": "order",
        "entityId": order["orderID"],
        "action": "update",
        "data": {
            **order,
            "orderStage": _STAGES[stage],
            "updatedAt": _moment(draw),
            "previousStage": _STAGES[stage - 1],
            "newStage": _STAGES[stage],
            "lane": lane,
            "seq": number,
            "sentNs": sent_ns,
        },
        "previous": {**order, "orderStage": _STAGES[stage - 1], "updatedAt": _moment(draw)},
    }


def _moment(draw: random.Random) -> str:
    return f"2026-11-20T{draw.randrange(24):02d}:{draw.randrange(60):02d}:{draw.randrange(60):02d}.000Z"


class _Connection:
    """One keep-alive connection with at most one request under way; `last_body` is its last answer's."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._sock = socket.create_connection(crowd.address)
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unsent = b""
        self._answer = b""
        self.idle = True
        self.last_body = b""
        crowd.watch(self._sock, self._ready)

    def send(self, request: bytes) -> None:
        """Begins a request; it is under way until `idle` is true again."""
        self.idle = False
        self._unsent = request
        self._write()

    def close(self) -> None:
        """Closes the connection, whatever is under way."""
        self._crowd.forget(self._sock)
        self._sock.close()

    def _write(self) -> None:
        blocked = False
        try:
            self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except BlockingIOError:
            blocked = True
        waiting = blocked or bool(self._unsent)
        self._crowd.change(self._sock, select.EPOLLIN | (select.EPOLLOUT if waiting else 0))

    def _ready(self, mask: int) -> None:
        if mask & select.EPOLLOUT and self._unsent:
            self._write()
        if not mask & ~select.EPOLLOUT:
            return
        try:
            data = self._sock.recv(1 << 16)
        except OSError as error:
            raise RunFailedError(f"publishing failed: {error.strerror}") from error
        if not data:
            raise RunFailedError("the server closed a connection that was publishing")
        self._answer += data
        self._finish()

    def _finish(self) -> None:
        """Ends the request when its answer is complete; one that refuses the event ends the run."""
        try:
            parsed = parse_head(self._answer)
            if parsed is None:
                return
            head, body = parsed
            length = int(head.headers["content-length"])
        except (MalformedError, KeyError, ValueError) as error:
            raise RunFailedError(f"publishing got an answer that does not parse: {error}") from error
        if len(body) < length:
            return
        if head.status not in self._crowd.dialect.accepted:
            detail = body[:300].decode(errors="replace")
            raise RunFailedError(f"publishing was answered {head.status}: {detail}")
        self._answer = b""
        self.last_body = body
        self.idle = True


class Publisher:
    """Publishes over a number of lanes: connections, each numbering its own events from 0.

    An event's `data` holds `lane`, `seq` (its number on the lane or, with `per_entity`, among its entity's
    events; then there is one lane only) and `sentNs`, the monotonic clock when its request was built.
    `published` counts all events. With `event_bytes` each event is that many bytes of JSON, filled up with
    a member of `data`, and an event of the entity "" has no entity; it may be changed between events.
    With `orders` they are changes of orders, whatever entity they are offered as.
    """

    def __init__(
        self,
        crowd: Crowd,
        *,
        lanes: int,
        per_entity: bool = False,
        event_bytes: int | None = None,
        orders: bool = False,
    ) -> None:
        if per_entity and lanes != 1:
            raise ValueError("numbering by entity needs a single lane")
        self._crowd = crowd
        self._per_entity = per_entity
        self.event_bytes = event_bytes
        self._orders = orders
        self._lanes = [_Connection(crowd) for _ in range(lanes)]
        self._on_lane = [0] * lanes
        self._of_entity: Counter[str] = Counter()
        self.published = 0

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._lanes:
            connection.close()

    def counts(self, entity: str) -> tuple[int, ...]:
        """How many events of each lane a stream that asked for that entity ("": for all) should have had."""
        return (self._of_entity[entity],) if self._per_entity else tuple(self._on_lane)

    @property
    def last_cursor(self) -> str:
        """The cursor of the last answer on the first lane: where the last of its events stands in the log."""
        return str(orjson.loads(self._lanes[0].last_body)["cursor"])

    @property
    def idle(self) -> bool:
        """Whether every request has been answered."""
        return all(connection.idle for connection in self._lanes)

    def offer(self, entities: Sequence[str], batch: int, sent_ns: int | None = None) -> int:
        """Publishes events of these entities, in order, `batch` to a request, a request on each idle lane.

        Gives how many of them it took; the others wait for the next call. `sent_ns` is when they were to be
        sent, where that is not now.
        """
        taken = 0
        for lane, connection in enumerate(self._lanes):
            names = entities[taken : taken + batch]
            if connection.idle and names:
                connection.send(self._request(lane, names, sent_ns or time.monotonic_ns()))
                taken += len(names)
        return taken

    def _request(self, lane: int, entities: Sequence[str], sent_ns: int) -> bytes:
        events = [self._event(lane, entity, sent_ns) for entity in entities]
        body = orjson.dumps(events if len(events) > 1 else events[0])
        host, port = self._crowd.address
        token = self._crowd.dialect.publish_token
        fields = "" if token is None else f"Authorization: Bearer {token()}\r\n"
        return (
            f"POST {self._crowd.dialect.publish_path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{fields}\r\n"
        ).encode() + body

    def _event(self, lane: int, entity: str, sent_ns: int) -> dict[str, Any]:
        number = self._of_entity[entity] if self._per_entity else self._on_lane[lane]
        self._of_entity[entity] += 1
        self._on_lane[lane] += 1
        self.published += 1
        if self._orders:
            return order_event(lane, number, sent_ns)
        if self.event_bytes is not None:
            return sized_event(entity, lane, number, sent_ns, self.event_bytes)
        return numbered(lane, number, entity, sent_ns)
