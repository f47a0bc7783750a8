"""`tidegate tail`: follows a stream in the terminal, and resumes by itself with its cursor."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import typer

from gateway.cli import DONE, REFUSED, UNREACHABLE, CommandError
from gateway.cli.client import credentials, events_url, reason, refusal
from gateway.cli.terminal import note, printable
from gateway.core.backoff import Backoff
from gateway.core.events import RESERVED_EVENT_TYPES
from gateway.core.eventstream import EventStreamDecoder, EventTooLarge, ServerSentEvent

FIRST_SILENCE_SECONDS = 30.0
"""How long the gateway may say nothing before it has told how often its heart beats."""
MISSED_HEARTBEATS = 3
_MIN_SILENCE_SECONDS = 1.0
_DEFAULT_RETRY_MS = 2000
_MAX_RETRY_MS = 3_600_000
_PALETTE = {"insert": "green", "delete": "red", "leave": "red", "update": "yellow"}

_TERM = re.compile(r";(\w+)=([^;,]*)")
_COMPONENT = re.compile(r'"([^"]*)"((?:;\w+=[^;,]*)*)')

Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Wanted:
    """What to follow: query parameters as in docs/protocol.md, section 3, and where to start and stop."""

    gateway: str
    parameters: tuple[tuple[str, str], ...] = ()
    cursor: str | None = None
    limit: int | None = None
    as_json: bool = False
    token: str | None = field(default=None, repr=False)


class StreamTail:
    """What a reader knows between two connections, and what it does with each event. No I/O but printing."""

    def __init__(self, wanted: Wanted, backoff: Backoff) -> None:
        self.cursor = wanted.cursor
        self.ever_connected = False
        self.silence_seconds = FIRST_SILENCE_SECONDS
        self.retry_ms = _DEFAULT_RETRY_MS
        self._wanted = wanted
        self._backoff = backoff
        self._shown = 0

    def take(self, event: ServerSentEvent) -> int | None:
        """Shows one event and keeps its cursor. Gives the exit code where there is nothing more to do."""
        if event.last_event_id:
            self.cursor = event.last_event_id
        try:
            data: Any = json.loads(event.data)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            note(f'skipped: the data of "{printable(event.event)}" is no JSON object')
            return None
        if event.event not in RESERVED_EVENT_TYPES or event.event == "refresh":
            return self._show(event, data)
        return self._control(event.event, data)

    def delay_seconds(self) -> float:
        """How long to wait before the next attempt: what the gateway asked for, and full jitter on top."""
        return self.retry_ms / 1000 + self._backoff.next()

    def _show(self, event: ServerSentEvent, data: Mapping[str, Any]) -> int | None:
        if self._wanted.as_json:
            # As the gateway wrote it. A line break between two tokens is the only one that JSON allows.
            typer.echo(event.data.replace("\n", " ").encode())
        else:
            typer.echo(hint_line(data) if event.event == "refresh" else event_line(data))
        self._shown += 1
        return DONE if self._shown == self._wanted.limit else None

    def _control(self, name: str, data: Mapping[str, Any]) -> int | None:
        if name == "connected":
            self._connected(data)
        elif name == "bye":
            return self._bye(data)
        elif name != "heartbeat":
            note(_control_line(name, data))
        return None

    def _connected(self, data: Mapping[str, Any]) -> None:
        self.ever_connected = True
        self._backoff.reset()
        beat = data.get("heartbeatSeconds")
        if isinstance(beat, int | float) and beat > 0:
            self.silence_seconds = max(MISSED_HEARTBEATS * beat, _MIN_SILENCE_SECONDS)
        note(f"connected at {printable(str(data.get('cursor', self.cursor)))}")

    def _bye(self, data: Mapping[str, Any]) -> int | None:
        why = printable(str(data.get("reason")))
        if data.get("reconnect") is False:
            note(f"the gateway ended the stream for good ({why})")
            return DONE
        note(f"the gateway ended the stream ({why})")
        return None


def event_line(data: Mapping[str, Any]) -> str:
    """One event for people: time, type, entity, action and data."""
    words = [
        typer.style(_text(data.get("timestamp")), dim=True),
        typer.style(_text(data.get("eventType")), bold=True),
    ]
    if "entityType" in data:
        words.append(typer.style(f"{_text(data['entityType'])}:{_text(data.get('entityId'))}", fg="cyan"))
    action = _text(data.get("action"))
    words.append(typer.style(action, fg=_PALETTE.get(action)))
    if "data" in data:
        words.append(_text(data["data"]))
    return "  ".join(words)


def hint_line(data: Mapping[str, Any]) -> str:
    """One refresh hint for people: what changed, how often, and with which types of events."""
    entity = _text(data.get("entityType"))
    if "entityId" in data:
        entity += f":{_text(data['entityId'])}"
    types = data.get("eventTypes")
    named = ", ".join(map(_text, types)) if isinstance(types, list) else ""
    return "  ".join(
        [
            typer.style("refresh", bold=True),
            typer.style(entity, fg="cyan"),
            f"{_text(data.get('count'))} events",
            named,
        ]
    ).rstrip()


def reason_lines(field: str) -> list[str]:
    """Why there is no stream, a line for each component of `Fetch-Mode-Reason`."""
    return [
        f"  {printable(component)}: {', '.join(printable(value) for _, value in _TERM.findall(terms))}"
        for component, terms in _COMPONENT.findall(field)
    ]


def _control_line(name: str, data: Mapping[str, Any]) -> str:
    if name == "reset":
        return f"reset ({_text(data.get('reason'))}): events were missed here, fetch your state anew"
    return f"{name}: {_text(data)}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return printable(value)
    return printable(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


async def follow(wanted: Wanted, backoff: Backoff, pause: Pause = asyncio.sleep) -> int:
    """Follows the stream until there is nothing more to follow; gives the exit code.

    A broken connection is resumed after the delay that the gateway asked for and one of `backoff`. Raises
    CommandError where the gateway refuses, or can't be reached the very first time: then the address is
    more likely wrong than the gateway down.
    """
    follower = StreamTail(wanted, backoff)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while (exit_code := await _attempt(session, wanted, follower)) is None:
                delay = follower.delay_seconds()
                note(f"reconnecting in {delay:.1f} s")
                await pause(delay)
            return exit_code
    finally:
        if follower.ever_connected:
            note(f"to go on from here: --cursor {printable(str(follower.cursor))}")


async def _attempt(session: aiohttp.ClientSession, wanted: Wanted, follower: StreamTail) -> int | None:
    try:
        return await _stream(session, wanted, follower)
    except (aiohttp.ClientError, TimeoutError) as error:
        failure = CommandError(UNREACHABLE, f"can't follow {wanted.gateway}: {reason(error)}.")
    except CommandError as error:
        failure = error
    if failure.exit_code != UNREACHABLE or not follower.ever_connected:
        raise failure
    note(failure.message)
    return None


async def _stream(session: aiohttp.ClientSession, wanted: Wanted, follower: StreamTail) -> int | None:
    """One connection, from the request to its end. Gives an exit code, or None where it is to be resumed."""
    parameters = list(wanted.parameters)
    if follower.cursor is not None:
        parameters.append(("lastEventId", follower.cursor))
    url = events_url(wanted.gateway).with_query(parameters)
    async with asyncio.timeout(FIRST_SILENCE_SECONDS):
        response = await session.get(
            url, headers={"Accept": "text/event-stream", **credentials(wanted.token)}
        )
    async with response:
        if response.status == 204:
            note("the gateway asks to poll: there is no stream for this selection")
            for line in reason_lines(response.headers.get("Fetch-Mode-Reason", "")):
                note(line)
            return DONE
        if response.status != 200:
            async with asyncio.timeout(FIRST_SILENCE_SECONDS):
                raise refusal(response.status, await response.read())
        if response.content_type != "text/event-stream":
            raise CommandError(
                REFUSED,
                f"{wanted.gateway} answers with {printable(response.content_type)} and not with an event "
                "stream: is it a Tidegate gateway?",
            )
        try:
            return await _read(response.content, follower)
        except EventTooLarge as error:
            # It would come again after the same cursor.
            raise CommandError(
                REFUSED,
                f"can't follow {wanted.gateway}: {error}. A gateway takes events of that size only where "
                "publish.max_event_bytes is set so high: choose a selection without them.",
            ) from error


async def _read(content: aiohttp.StreamReader, follower: StreamTail) -> int | None:
    decoder = EventStreamDecoder()
    while True:
        async with asyncio.timeout(follower.silence_seconds):
            data = await content.readany()
        if not data:
            return None
        for event in decoder.feed(data):
            exit_code = follower.take(event)
            if exit_code is not None:
                return exit_code
        if decoder.retry_ms is not None:
            follower.retry_ms = min(decoder.retry_ms, _MAX_RETRY_MS)
