"""`tidegate explain`: what a caller is granted by a configuration, and why an event does not reach it."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from gateway.access import static_keys
from gateway.access.explain import explain_event, explain_grants
from gateway.access.jwks import FetchFailed
from gateway.access.jwks_fetch import fetch_jwks
from gateway.access.rights import Source
from gateway.access.token_keys import KeySet
from gateway.access.tokens import Expected, FixedKeys, TokenVerifier
from gateway.cli import REFUSED, UNREACHABLE, WRONG_INPUT, CommandError
from gateway.core.access_errors import InvalidToken
from gateway.core.errors import InvalidEvents, LogError, PlaceLost
from gateway.core.events import REVOCATION, Cursor, Event, Record, parsing_events
from gateway.core.grants import Scope
from gateway.ports.clock import SystemClock
from gateway.ports.log import EventLog
from gateway.service.settings import Settings
from gateway.service.wiring.auth import load_keys
from gateway.service.wiring.logs import open_log
from gateway.service.wiring.rights import rights_of

_ANY_SIZE = 2**62


class Wanted(NamedTuple):
    """Whose grants to explain, None for whoever has no token, and by which event: one of the two, or none.

    `event_file` holds an event's JSON; "-" is standard input.
    """

    token: str | None
    cursor: str | None = None
    event_file: str | None = None


async def explain(settings: Settings, wanted: Wanted) -> list[str]:
    """The sentences. Raises CommandError and ConfigError."""
    if settings.auth.mode == "none":
        return ['auth.mode is "none": everybody may do everything.']
    lines, sources = await _caller(settings, wanted.token)
    lines += explain_grants(sources)
    event = await _event(settings, wanted)
    if event is None:
        return lines
    if event.event_type == REVOCATION:
        return [*lines, "", "It is a revocation, which reaches nobody."]
    return [*lines, "", _named(event), *explain_event(sources, event)]


async def _caller(settings: Settings, token: str | None) -> tuple[list[str], Sequence[Source]]:
    """Lines on who it is, and what it is granted."""
    rights = rights_of(settings.auth)
    if token is None:
        sources = rights.sources_of_nobody()
        if sources is None:
            raise CommandError(
                REFUSED, "Callers without a token get 401: there is no [auth.anonymous]. Give --token."
            )
        return [_scope(sources)], sources
    if token.startswith(static_keys.PREFIX):
        keys = static_keys.StaticKeys({key.sha256.get_secret_value(): key.name for key in settings.auth.keys})
        name = keys.find(token)
        if name is None:
            raise CommandError(REFUSED, "The key is none of auth.keys in this configuration.")
        sources = rights.sources_of_key(name)
        return [f"key {name}", _scope(sources)], sources
    claims = await _claims(settings, token)
    sources = rights.sources_of_token(claims)
    lines = [f"subject {claims['sub']}"] if "sub" in claims else []
    lines.append(_scope(sources))
    lines += [
        f"{name} is not for this token: {', '.join(names)} {'has' if len(names) == 1 else 'have'} another "
        "value, or none"
        for name, names in rights.rules_passed_over(claims)
    ]
    return lines, sources


async def _claims(settings: Settings, token: str) -> Mapping[str, Any]:
    auth = settings.auth
    expected = Expected(auth.audience, auth.issuer, auth.leeway_seconds)
    verifier = TokenVerifier(FixedKeys(await _keys(settings)), expected, time.time)
    try:
        return await verifier.claims(token)
    except InvalidToken as error:
        raise CommandError(REFUSED, error.detail) from None


async def _keys(settings: Settings) -> KeySet:
    """The keys that tokens are checked with; those of a JWKS are fetched once."""
    url = settings.auth.jwks_url
    if url is None:
        return load_keys(settings)
    try:
        return (await fetch_jwks(url)).keys
    except FetchFailed as error:
        raise CommandError(UNREACHABLE, f"auth.jwks_url gave no keys. {error}") from None


async def _event(settings: Settings, wanted: Wanted) -> Event | None:
    if wanted.event_file is not None:
        return _read_event(settings, wanted.event_file)
    if wanted.cursor is not None:
        return await _event_at(settings, wanted.cursor)
    return None


def _read_event(settings: Settings, file: str) -> Event:
    """The event whose JSON `file` holds, as a publisher writes it or as the gateway sends it."""
    try:
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        given = orjson.loads(text)
    except OSError as error:
        raise CommandError(WRONG_INPUT, f"{file} can't be read: {error.strerror}.") from None
    except ValueError as error:
        raise CommandError(WRONG_INPUT, f"{file} is not JSON: {error}.") from None
    if isinstance(given, dict):
        entity = settings.entities.get(str(given.get("entityType")))
        added = {"id", *([] if entity is None else [entity.id_alias])}
        given = {name: value for name, value in given.items() if name not in added}
    events: list[Event] = []
    try:
        for _ in parsing_events([given], events, now_ms=0, max_event_bytes=_ANY_SIZE, batch=False):
            pass
    except InvalidEvents as error:
        places = "; ".join(f"{place['pointer']}: {place['detail']}" for place in error.errors)
        raise CommandError(WRONG_INPUT, f"{file} is no event. {places}") from None
    return events[0]


async def _event_at(settings: Settings, text: str) -> Event:
    """The event of that cursor, whoever it was given to, out of the log that the settings name."""
    cursor = Cursor.parse(text)
    if cursor is None:
        raise CommandError(WRONG_INPUT, "--event must be a cursor, the id of an event.")
    if settings.log.kind == "memory":
        raise CommandError(
            WRONG_INPUT,
            "The events of memory:// are in the gateway's process alone: give the event itself, as "
            "`tidegate tail --json` prints it, with --event-json.",
        )
    log = open_log(settings, SystemClock())
    try:
        await log.start()
        record = await _record_at(log, cursor)
    except LogError as error:
        raise CommandError(UNREACHABLE, error.detail) from None
    finally:
        await log.close()
    if record is None:
        raise CommandError(WRONG_INPUT, "The log holds no event of that cursor.")
    return record.event


async def _record_at(log: EventLog, cursor: Cursor) -> Record | None:
    """The record at the cursor; None where the log holds none there."""
    if log.epoch != cursor.epoch:
        return None
    try:
        before = await log.latest(1, before=cursor.position)
        after = before[-1].position if before else (await log.bounds()).floor
        found = next(iter(await log.read(after, 1)), None)
    except PlaceLost:
        return None
    return found if found is not None and found.position == cursor.position else None


def _scope(sources: Sequence[Source]) -> str:
    return f"scope {Scope.of(grant for source in sources for grant in source.grants).text}"


def _named(event: Event) -> str:
    entity = "no entity" if event.entity_type is None else f"{event.entity_type}:{event.entity_id}"
    return f"event of {entity} ({event.event_type}, {event.action})"
