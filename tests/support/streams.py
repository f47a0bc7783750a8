"""What a client makes of a stream's bytes, written without the code under test."""

import json
import re
import zlib
from typing import Any, NamedTuple

import orjson

from gateway.core import control_frames, gzip_stream
from gateway.core.credentials import Credentials
from gateway.core.events import ORIGIN, Cursor, Position
from gateway.core.history import History
from gateway.core.selectors import Selector
from gateway.delivery.group import DeliveryOptions
from gateway.delivery.handover import StreamProtocol
from gateway.delivery.hub import Hub
from gateway.delivery.presence.attendance import Attendance
from gateway.delivery.state.question import question_of
from gateway.delivery.state.reading import Reading
from gateway.delivery.subscriber import NOWHERE, Subscriber
from tests.support.transport import RecordingTransport

_FIELD = re.compile(r"(event|id|data|retry): (.*)\Z", re.DOTALL)


class Frame(NamedTuple):
    """One block of a stream. `end` is where it ends within the bytes that it was read from."""

    event: str | None
    id: str | None
    data: Any
    end: int


def dechunk(raw: bytes) -> tuple[bytes, list[int]]:
    """The payload of chunks that came whole, and for each of its bytes where that stood in `raw`."""
    payload = bytearray()
    places: list[int] = []
    at = 0
    while at < len(raw):
        head = raw.index(b"\r\n", at)
        size = int(raw[at:head], 16)
        start = head + 2
        assert raw[start + size : start + size + 2] == b"\r\n", "a chunk does not end where it says"
        payload += raw[start : start + size]
        places += range(start, start + size)
        at = start + size + 2
    return bytes(payload), places


def inflate(coded: bytes) -> tuple[bytes, list[int]]:
    """The payload of a gzip member or a run of raw deflate, and for each of its bytes where it came out.

    Nothing may be left over, and nothing may say that it is the end: a stream goes on.
    """
    is_begun = coded.startswith(b"\x1f\x8b")
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16 if is_begun else -zlib.MAX_WBITS)
    payload = bytearray()
    places: list[int] = []
    for at in range(len(coded)):
        part = decoder.decompress(coded[at : at + 1])
        payload += part
        places += [at] * len(part)
    assert not decoder.eof, "a stream never says that its member ends"
    assert not decoder.flush(), "a run does not end where its last byte does"
    return bytes(payload), places


def payload_of(raw: bytes, *, chunked: bool = False, gzip: bool = False) -> tuple[bytes, list[int]]:
    """What was framed, without chunks and coding, and for each of its bytes where that stood in `raw`."""
    payload, places = dechunk(raw) if chunked else (raw, list(range(len(raw))))
    if gzip:
        payload, at = inflate(payload)
        places = [places[place] for place in at]
    return payload, places


def frames_of(raw: bytes, *, chunked: bool = False, gzip: bool = False) -> list[Frame]:
    """The blocks of bytes that were written. `retry` stands in `connected` and `bye`, and nowhere else."""
    payload, places = payload_of(raw, chunked=chunked, gzip=gzip)
    assert not payload or payload.endswith(b"\n\n"), "a block was not ended"
    frames = []
    end = 0
    for block in payload.split(b"\n\n")[:-1]:
        end += len(block) + 2
        fields: dict[str, str] = {}
        for line in block.decode().split("\n"):
            found = _FIELD.match(line)
            assert found is not None, f"not a field: {line!r}"
            assert found[1] not in fields, f"{found[1]} comes twice"
            fields[found[1]] = found[2]
        event = fields.get("event")
        assert ("retry" in fields) is (event in ("connected", "bye")), f"retry: {block!r}"
        frames.append(Frame(event, fields.get("id"), json.loads(fields["data"]), places[end - 1] + 1))
    return frames


def received(transport: RecordingTransport, *, chunked: bool = True, gzip: bool = False) -> list[Frame]:
    """What the client has read; it must be whole frames."""
    return frames_of(bytes(transport.received), chunked=chunked, gzip=gzip)


def open_stream(
    hub: Hub,
    history: History,
    transport: RecordingTransport,
    selector: Selector,
    delivery: DeliveryOptions,
    cursor: str | None = None,
    asked: object = None,
    log_floor: Position | None = None,
    credentials: Credentials | None = None,
    *,
    with_state: bool = False,
    attendance: Attendance | None = None,
) -> Subscriber:
    """A stream as the gateway's handler opens it: the first frames, then the hub's.

    `log_floor` is given where the hub's readers get from a log what the history does not hold.
    """
    resolved = history.head if cursor is None else history.resolve(cursor)
    number = resolved if isinstance(resolved, int) else history.head
    position = history.position(number) or ORIGIN
    old = None if cursor is None or log_floor is None else Cursor.parse(cursor)
    if old is not None and resolved == "trimmed" and old.position >= log_floor:
        number, position, resolved = NOWHERE, old.position, NOWHERE
    reading = Reading(question_of(selector)) if with_state else None
    is_resumed = cursor is not None and isinstance(resolved, int)
    follows = None if is_resumed else hub.begins_with_state(reading)
    first = control_frames.connected(
        client_id="c",
        timestamp="2026-11-20T10:30:00.123Z",
        cursor=history.cursor_at(position),
        recovered=None if cursor is None else isinstance(resolved, int),
        heartbeat_seconds=15.0,
        modes=orjson.dumps({}).decode(),
        retry_ms=2000,
        state_follows=follows,
    )
    if not isinstance(resolved, int):
        first += hub.reset_frame(resolved, state_follows=follows)
    if delivery.gzip:
        first = gzip_stream.HEADER + gzip_stream.stored(first)
    transport.write(b"%x\r\n%b\r\n" % (len(first), first) if delivery.chunked else first)
    subscriber = hub.attach(
        *(transport, selector, delivery, number, asked, position, credentials),
        reading=reading,
        attendance=attendance,
    )
    transport.set_protocol(StreamProtocol(hub, subscriber))
    hub.begin(subscriber, resumed=is_resumed)
    return subscriber
