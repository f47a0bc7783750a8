"""Checks one stream's bytes: every event once, in order, nothing missing. Sans I/O.

Written apart from the gateway's own encoder and decoder, so that an error of theirs can't hide itself.
`advance` is a pure function of a stream's state and the bytes read. Streams of one group receive the same
bytes, so `Checker` remembers recent answers and compares bytes instead of parsing them again: that is what
lets one core check millions of deliveries a second, and it is as strict as parsing each.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from gateway.core.events import CONTROL_EVENT_TYPES
from loadtests.framing import (
    ENDED,
    GZIP_HEADER_BYTES,
    GZIP_MAGIC,
    UNFRAMED,
    MalformedError,
    first_chunk,
    inflated,
    unchunk,
)

# Control events of docs/protocol.md, section 4, after which a stream can't be complete any more.
FATAL = frozenset({"reset", "bye"})
# Those that say nothing about published events.
IGNORED = CONTROL_EVENT_TYPES - FATAL - {"connected"}

# One recent answer for each of so many reads; the streams of a group are rarely further apart.
REMEMBERED = 512


class Problem(NamedTuple):
    """One thing that a stream did wrong. `kind`: lost, doubled, reordered, misdirected, malformed, ended,
    polling."""

    kind: str
    detail: str


class StreamState(NamedTuple):
    """Where one stream's reading stands. Equal states that read equal bytes become equal states.

    An event carries the lane (the publishing connection) that it was sent on and its number within it: the
    order of one lane's events is known, that of events on two lanes is the server's to choose, and is held
    against the positions in their ids. `expected` has the next number of each lane; `missing` the
    (lane, number) skipped so far, lost unless they come late; `position` is the last event's;
    `entity` the only one whose events may come ("": any).
    `positioned`: events carry an `id` with their position, as the gateway's do.
    `component`: the one that `connected` has to call streaming; "": whatever it says.
    `members`: those that events have to have, and no others; None: whatever they have.
    `left` counts what the current HTTP chunk still holds, with its CRLF; `line` is an unfinished chunk-size
    line and `tail` an unfinished event. `packed` is an unfinished chunk of a stream in gzip, else None.
    """

    expected: tuple[int, ...]
    entity: str = ""
    connected: bool = False
    position: tuple[int, int] = (-1, -1)
    left: int = 0
    line: bytes = b""
    tail: bytes = b""
    missing: frozenset[tuple[int, int]] = frozenset()
    positioned: bool = True
    packed: bytes | None = None
    component: str = ""
    members: frozenset[str] | None = None


class Step(NamedTuple):
    """What some bytes brought: the state after them, when each published event in them was sent (nanoseconds
    of the monotonic clock, in the order in which they came), and what was wrong."""

    state: StreamState
    sent_ns: tuple[int, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def events(self) -> int:
        """How many published events there were."""
        return len(self.sent_ns)


class Head(NamedTuple):
    """The status and the headers (names in lower case) of a response."""

    status: int
    headers: dict[str, str]


def parse_head(data: bytes) -> tuple[Head, bytes] | None:
    """The head of a response and the bytes after it, or None while it is incomplete."""
    head, end, rest = data.partition(b"\r\n\r\n")
    return (_head_of(head), rest) if end else None


@lru_cache(maxsize=64)
def _head_of(head: bytes) -> Head:
    """Thousands of streams that are opened within one second have the same one."""
    status_line, *lines = head.decode("latin-1").split("\r\n")
    try:
        status = int(status_line.split(" ")[1])
    except (IndexError, ValueError) as error:
        raise MalformedError(f"no status line: {status_line[:80]!r}") from error
    pairs = (line.partition(":") for line in lines)
    return Head(status, {name.strip().lower(): value.strip() for name, _, value in pairs})


def start(
    expected: tuple[int, ...],
    entity: str,
    head: Head,
    *,
    greets: bool = True,
    positioned: bool = True,
    component: str = "",
    members: frozenset[str] | None = None,
) -> StreamState:
    """The state of a stream whose response has begun; raises MalformedError where it is no event stream.

    `greets` and `positioned` say whether the server sends `connected` first, and positions in its events;
    `component` is the one that `connected` has to call streaming; `members` are those of events.
    """
    kind = head.headers.get("content-type", "")
    if head.status != 200 or not kind.startswith("text/event-stream"):
        raise MalformedError(f"answered {head.status} {kind or 'without a type'} instead of an event stream")
    chunked = head.headers.get("transfer-encoding", "").lower() == "chunked"
    left = 0 if chunked else UNFRAMED
    coding = head.headers.get("content-encoding", "")
    if coding and (coding != "gzip" or not chunked):
        raise MalformedError(f"a stream in {coding} can't be read here, or not without chunks")
    return StreamState(
        expected,
        entity,
        connected=not greets,
        left=left,
        positioned=positioned,
        packed=b"" if coding else None,
        component=component,
        members=members,
    )


def advance(state: StreamState, data: bytes) -> Step:
    """Takes the next bytes of a stream, split anywhere. Never raises: what is wrong is in the step."""
    try:
        parts, left, line = unchunk(state.left, state.line, data)
        if state.packed is not None:
            parts, packed = _unpacked(state, parts, is_whole=left <= 2)
            state = state._replace(packed=packed)
        text = (state.tail + b"".join(parts)).replace(b"\r\n", b"\n")
        # A CR at the end may be half of a CRLF: it waits in the tail.
        *blocks, tail = text.split(b"\n\n")
        step = Step(state._replace(left=left, line=line, tail=tail))
        for block in blocks:
            step = _take(step, _dispatch(block))
    except MalformedError as error:
        return Step(state._replace(left=ENDED), problems=(Problem("malformed", str(error)),))
    if left == ENDED:
        return step._replace(problems=(*step.problems, Problem("ended", "the server ended the stream")))
    return step


def _unpacked(state: StreamState, parts: list[bytes], *, is_whole: bool) -> tuple[list[bytes], bytes]:
    """The text of the chunks that are complete, and what there is of the next one.

    Each chunk is unpacked by itself: one that refers to what came before it could not be read by a client
    that joins there. `is_whole` says whether the last part ends its chunk.
    """
    chunks = [state.packed or b""]
    for part in parts:
        if part:
            chunks[-1] += part
        else:
            chunks.append(b"")
    packed = b"" if is_whole else chunks.pop()
    texts, begun = [], state.connected
    for chunk in filter(None, chunks):
        if not begun and not chunk.startswith(GZIP_MAGIC):
            raise MalformedError(f"no gzip header: {chunk[:10]!r}")
        texts.append(inflated(chunk if begun else chunk[GZIP_HEADER_BYTES:]))
        begun = True
    return texts, packed


class _Block(NamedTuple):
    """One block of an event stream. Without data nothing is dispatched."""

    name: str
    data: bytes
    id: str


def _dispatch(block: bytes) -> _Block:
    name, data, own_id = "message", [], ""
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode(errors="replace")
        elif field == b"data":
            data.append(value)
        elif field == b"id":
            own_id = value.decode(errors="replace")
    return _Block(name, b"\n".join(data), own_id)


def _take(step: Step, block: _Block) -> Step:
    """One dispatched event: `step` with what it changes."""
    name, data, _ = block
    if not data or name in IGNORED:
        return step
    if name in FATAL:
        return _wrong(step, "ended", f"{name} {data[:200].decode(errors='replace')}")
    if name == "connected":
        return _greeted(step, data)
    if not step.state.connected:
        return _wrong(step, "reordered", f"{name} came before connected")
    state = step.state
    event = _published(block, state)
    if state.entity and event.entity != state.entity:
        return _wrong(step, "misdirected", f"{event.entity} came to a stream of {state.entity}")
    step = step._replace(sent_ns=(*step.sent_ns, event.sent_ns))
    if not 0 <= event.lane < len(state.expected):
        return _wrong(step, "malformed", f"no connection {event.lane} publishes")
    counted = _count(step, event.lane, event.number)
    if event.number < state.expected[event.lane]:
        return counted  # late or again: its position would only say so once more
    return _order(counted, event.position) if state.positioned else counted


def _greeted(step: Step, data: bytes) -> Step:
    """`connected`, which says by mode how the caller gets the events of its components."""
    component = step.state.component
    step = step._replace(state=step.state._replace(connected=True))
    if not component:
        return step
    try:
        modes: dict[str, str] = orjson.loads(data)["modes"]
        mode = modes.get(component)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedError(f"no `connected`: {data[:80]!r}") from error
    return step if mode == "streaming" else _wrong(step, "polling", f"{component} is {mode or 'not in it'}")


class _Published(NamedTuple):
    """What the check needs of an event that the benchmark published. `entity` is "" where it has none."""

    entity: str
    position: tuple[int, int]
    lane: int
    number: int
    sent_ns: int


def _published(block: _Block, state: StreamState) -> _Published:
    """The position is the id's of the block. The event says the same one, where it was asked to say it."""
    positioned = state.positioned
    try:
        event: dict[str, Any] = orjson.loads(block.data)
        major, minor = block.id.split(".")[1].split("-") if positioned else (0, 0)
        if positioned and event.get("id", block.id) != block.id:
            raise MalformedError(f"the id {block.id} is that of no event {event['id']}")
        if state.members is not None and event.keys() != state.members:
            raise MalformedError(f"an event of {sorted(event)} instead of {sorted(state.members)}")
        inner = event["data"]
        return _Published(
            f"{event['entityType']}:{event['entityId']}" if "entityType" in event else "",
            (int(major), int(minor)),
            int(inner["lane"]),
            int(inner["seq"]),
            int(inner["sentNs"]),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise MalformedError(f"not an event of this benchmark: {block.data[:80]!r}") from error


def _count(step: Step, lane: int, number: int) -> Step:
    state = step.state
    expected = state.expected[lane]
    onward = (*state.expected[:lane], number + 1, *state.expected[lane + 1 :])
    if number == expected:
        return step._replace(state=state._replace(expected=onward))
    if number > expected:
        missing = state.missing | {(lane, skipped) for skipped in range(expected, number)}
        step = step._replace(state=state._replace(expected=onward, missing=missing))
        return _wrong(step, "lost", f"lane {lane}: expected event {expected}, got {number}")
    if (lane, number) in state.missing:
        step = step._replace(state=state._replace(missing=state.missing - {(lane, number)}))
        return _wrong(step, "reordered", f"lane {lane}: event {number} came after {expected - 1}")
    return _wrong(step, "doubled", f"lane {lane}: event {number} came again, after {expected - 1}")


def _order(step: Step, position: tuple[int, int]) -> Step:
    last = step.state.position
    if position > last:
        return step._replace(state=step.state._replace(position=position))
    return _wrong(step, "reordered", f"the id's position {position} came after {last}")


def _wrong(step: Step, kind: str, detail: str) -> Step:
    return step._replace(problems=(*step.problems, Problem(kind, detail)))


def unfinished(state: StreamState, published: tuple[int, ...]) -> Problem | None:
    """What a stream still owes when `published` events of each lane, numbered from 0, should be there."""
    pairs = list(zip(state.expected, published, strict=True))
    absent = len(state.missing) + sum(max(0, all_of - expected) for expected, all_of in pairs)
    if absent:
        return Problem("lost", f"{absent} of {sum(published)} published events never came")
    if any(expected > all_of for expected, all_of in pairs):
        return Problem("doubled", f"events came that were not published: {state.expected} of {published}")
    return None


class Checker:
    """`advance`, with a bounded memory of recent answers."""

    def __init__(self) -> None:
        self._states: dict[StreamState, StreamState] = {}
        self._answers: dict[tuple[int, int], tuple[StreamState, bytes, Step]] = {}

    def begin(self, state: StreamState, data: bytes) -> Step:
        """As `advance`, for the first bytes after a head.

        The first chunk holds a greeting, which every stream has for itself; what comes with it they share,
        as thousands do that resume at once.
        """
        at = len(data) if state.left == UNFRAMED else first_chunk(data)
        greeting = advance(state, data[:at])
        shared = self._states.setdefault(greeting.state, greeting.state)
        if at == len(data):
            return greeting._replace(state=shared)
        step = self.advance(shared, data[at:])
        return step._replace(
            sent_ns=greeting.sent_ns + step.sent_ns, problems=greeting.problems + step.problems
        )

    def advance(self, state: StreamState, data: bytes) -> Step:
        """As the function `advance`: the same answer, without parsing where the same was asked before."""
        # By the state's identity and the length, then compared: to hash the bytes would cost ten times the
        # comparison. An answer holds its state, so that no other object can have its id meanwhile.
        key = (id(state), len(data))
        answer = self._answers.get(key)
        if answer is not None and answer[1] == data:
            return answer[2]
        step = advance(state, data)
        if len(self._answers) >= REMEMBERED:
            self._answers.clear()
            self._states.clear()
        step = step._replace(state=self._states.setdefault(step.state, step.state))
        self._answers[key] = (state, data, step)
        return step
