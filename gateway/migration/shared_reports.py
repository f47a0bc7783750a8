"""Clients' reports between the nodes of a log: those that reached another node than their stream did.

A report is told once, by the node that got it from its client and could not match it; the node that opened
the stream counts it. Nobody says again what was lost: a report more or less is no harm. Which software
reports is said every now and then, so that all nodes hold its streams to it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Literal, Protocol, Self

import orjson
from pydantic import Field, model_validator

from flags.decide.modes import Mode
from flags.errors import InvalidFlag
from flags.guard.reporters import Reporters
from flags.guard.telemetry import ClientReport, Fallback
from flags.guard.token_bucket import Rate, TokenBucket
from flags.guard.who import Who
from flags.wire_model import Name, Text, WireModel
from gateway.ports.clock import Clock
from gateway.ports.node_messages import NodeTopic

VERSION = 1
MAX_BYTES = 8192
"""Of one message: several times what the longest report takes."""
MOST_NAMES = 4
NAMES_EVERY_SECONDS = 10.0
NAMES_KEPT = 1024
NAMES_RATE = Rate(per_second=20, burst=100)
"""How many messages with names there may be: names can be made up."""

_ELSEWHERE = Who("")
"""Who reported to another node: it says nothing of that, and nothing that it tells is counted by it."""


class Told(Protocol):
    """Who takes what other nodes could not match: flags.guard.telemetry.Telemetry."""

    def told(self, report: ClientReport, now: float) -> None: ...


class _Report(WireModel):
    """What a node has to know of a report to match it."""

    client_id: Text | None = None
    attempt: Text | None = None
    component: Name
    mode: Annotated[Mode, Field(strict=False)]
    client_version: Text
    first_event_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    fallback: Annotated[Fallback, Field(strict=False)] | None = None
    proven: Annotated[str, Field(max_length=16)] | None = None


class _Message(WireModel):
    v: Literal[1]
    report: _Report | None = None
    names: Annotated[list[Text], Field(max_length=MOST_NAMES)] | None = None
    source: Annotated[str, Field(max_length=16)] = ""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.report is None) == (self.names is None):
            raise ValueError("a message has a report or names")
        return self


class ReportsOut:
    """What this node tells the others. Nothing here waits, or fails."""

    def __init__(self, topic: NodeTopic, clock: Clock) -> None:
        self._topic = topic
        self._clock = clock
        self._told_at: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._rate = TokenBucket(NAMES_RATE, clock.monotonic())

    def forward(self, report: ClientReport) -> None:
        """Tells of a report that matches no stream here."""
        told = _Report(
            client_id=report.client_id,
            attempt=report.attempt,
            component=report.component,
            mode=report.mode,
            client_version=report.client_version,
            first_event_ms=report.first_event_ms,
            fallback=report.fallback,
            proven=report.proven,
        )
        self._send({"report": told.model_dump(mode="json", by_alias=True, exclude_none=True)})

    def reported(self, names: Iterable[str], source: str) -> None:
        """Tells that software of these names reports from that source, unless that was told less than 10 s
        ago.

        Where too many names come, some are told once they come again.
        """
        now = self._clock.monotonic()
        new = [name for name in names if self._is_due((name, source), now)][:MOST_NAMES]
        if not new or self._rate.wait_seconds(now) > 0:
            return
        self._rate.take(now)
        for name in new:
            self._told_at[name, source] = now
            self._told_at.move_to_end((name, source))
        while len(self._told_at) > NAMES_KEPT:
            self._told_at.popitem(last=False)
        self._send({"names": new, "source": source})

    def _is_due(self, told: tuple[str, str], now: float) -> bool:
        told_at = self._told_at.get(told)
        return told_at is None or now - told_at >= NAMES_EVERY_SECONDS

    def _send(self, said: dict[str, object]) -> None:
        self._topic.send(orjson.dumps({"v": VERSION} | said))


class ReportsIn:
    """What the others tell this node. What can't be read is counted, and has no other consequence."""

    def __init__(self, telemetry: Told, reporters: Reporters, clock: Clock) -> None:
        self._telemetry = telemetry
        self._reporters = reporters
        self._clock = clock
        self.ignored = 0
        """Messages that were none of this version."""

    def heard(self, raw: bytes) -> None:
        """A message of another node has come."""
        message = _read(raw)
        if message is None:
            self.ignored += 1
        elif message.report is not None:
            report = ClientReport(client=None, who=_ELSEWHERE, **dict(message.report))
            self._telemetry.told(report, self._clock.monotonic())
        elif message.names is not None:
            self._reporters.add(message.names, message.source)


def _read(raw: bytes) -> _Message | None:
    if len(raw) > MAX_BYTES:
        return None
    try:
        return _Message.parse(orjson.loads(raw))
    except (orjson.JSONDecodeError, InvalidFlag):
        return None


def tell_of(reporters: Reporters, out: ReportsOut | None) -> Callable[[Sequence[str], str], None]:
    """Notes that software of these names has reported to this node from a source, and tells the others
    (`out`)."""

    def reported(names: Sequence[str], source: str) -> None:
        reporters.add(names, source)
        if out is not None:
            out.reported(names, source)

    return reported
