"""The frames of control events (docs/protocol.md, section 4), without chunked framing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import orjson

from gateway.core import eventstream
from gateway.core.history import ResetReason

ByeReason = Literal["drain", "slow_consumer", "token_expired", "revoked", "limit", "disconnected"]
PresenceType = Literal["sync", "join", "leave", "update"]

MAX_SPREAD_MS = 30_000
_GONE_MS = 30_000
"""How long a client that is not to come back, and does so all the same, waits at least."""


def spread_ms(readers: int) -> int:
    """Over how long that many clients are to spread what they do next: a millisecond for each."""
    return min(MAX_SPREAD_MS, readers)


def _frame(
    event: str, data: Mapping[str, Any], cursor: str | None = None, retry_ms: int | None = None
) -> bytes:
    # Some parsers hand out a block of `retry:` alone as an empty message, others drop it.
    text = orjson.dumps(data).decode()
    return eventstream.encode(text, event=event, last_event_id=cursor, retry_ms=retry_ms)


def connected(
    *,
    client_id: str,
    timestamp: str,
    cursor: str,
    recovered: bool | None,
    heartbeat_seconds: float,
    modes: str,
    retry_ms: int,
    state_follows: bool | None = None,
) -> bytes:
    """The first frame of a stream, with the reconnection time. `modes` is JSON.

    `recovered` is None where no cursor was given. `state_follows` says whether the state comes next; None
    where there is no need for it, or nobody asked. Where it does the frame has no id.
    """
    place = "" if state_follows else f"id: {cursor}\n"
    came = "" if recovered is None else f',"recovered":{_TRUTH[recovered]}'
    state = "" if state_follows is None else f',"state":{_TRUTH[state_follows]}'
    whole = int(heartbeat_seconds)
    # Thousands of streams begin at once, and none of these texts needs an escape in JSON.
    return (
        f"retry: {retry_ms}\nevent: connected\n{place}"
        f'data: {{"clientId":"{client_id}","timestamp":"{timestamp}","cursor":"{cursor}"{came}{state}'
        f',"heartbeatSeconds":{whole if whole == heartbeat_seconds else heartbeat_seconds}'
        f',"modes":{modes}}}\n\n'
    ).encode()


_TRUTH = {True: "true", False: "false"}


def reset(reason: ResetReason, cursor: str, jitter_ms: int, *, state_follows: bool | None = None) -> bytes:
    """The gap before `cursor` can't be filled. `state_follows` is as for `connected`."""
    data: dict[str, Any] = {"reason": reason, "cursor": cursor, "jitterMs": jitter_ms}
    if state_follows is not None:
        data["state"] = state_follows
    return _frame("reset", data, None if state_follows else cursor)


def state(entity_type: str, number: int, cursor: str, *, is_last: bool) -> tuple[bytes, bytes]:
    """What stands before and behind the items of a part of the state, of which the last has the id."""
    head = eventstream.encode("", event="state", last_event_id=cursor if is_last else None)
    tail = b'],"part":%d,"last":%b,"cursor":"%b"}\n\n' % (
        number,
        b"true" if is_last else b"false",
        cursor.encode(),
    )
    return head.removesuffix(b"\n\n") + b'{"entityType":%b,"items":[' % orjson.dumps(entity_type), tail


def heartbeat(timestamp: str, cursor: str | None) -> bytes:
    """Nothing else happened up to `cursor`; None where the stream is at none yet."""
    return _frame("heartbeat", {"timestamp": timestamp}, cursor)


def refresh(
    *,
    entity_type: str,
    entity_id: str | None,
    event_types: Sequence[str],
    count: int,
    cursor: str,
    jitter_ms: int,
) -> bytes:
    """A hint that an entity changed, or where `entity_id` is None that many of the type did."""
    data: dict[str, Any] = {"entityType": entity_type}
    if entity_id is not None:
        data["entityId"] = entity_id
    data |= {"eventTypes": event_types, "count": count, "cursor": cursor, "jitterMs": jitter_ms}
    return _frame("refresh", data, cursor)


def fetch_mode(*, component: str, mode: str, reason: str, delay_ms: int, cursor: str, poll_url: str) -> bytes:
    """A component changed its mode; the stream, or a poll of `poll_url`, goes on from `cursor`."""
    data = {
        "component": component,
        "mode": mode,
        "reason": reason,
        "delayMs": delay_ms,
        "cursor": cursor,
        "pollUrl": poll_url,
    }
    return _frame("fetch-mode", data)


def token_expiring(expires_at: str) -> bytes:
    """The stream ends with its token, at that time of RFC 3339."""
    return _frame("token-expiring", {"expiresAt": expires_at})


def present(user: str, meta: bytes) -> bytes:
    """The part of `presence` that is about a user, whose meta is given as JSON."""
    return b'%b:{"meta":%b}' % (orjson.dumps(user), meta)


def presence(channel: str, kind: PresenceType, users: Iterable[bytes]) -> bytes:
    """Who is in a channel, or what has changed there: of each user what `present` makes."""
    # No channel's name needs an escape.
    head = f'event: presence\ndata: {{"channel":"{channel}","type":"{kind}","users":{{'
    return head.encode() + b",".join(users) + b"}}\n\n"


def broadcast(channel: str, event: str, payload: Mapping[str, Any], sender: str) -> bytes:
    """What somebody says to the readers of a channel."""
    return _frame("broadcast", {"channel": channel, "event": event, "payload": payload, "from": sender})


def bye(reason: ByeReason, retry_ms: int, *, reconnect: bool = True) -> bytes:
    """The last frame of a stream, with the reconnection time: half a minute more where it ends for good."""
    if not reconnect:
        retry_ms += _GONE_MS
    data = {"reason": reason, "reconnect": reconnect, "retryMs": retry_ms}
    return _frame("bye", data, retry_ms=retry_ms)
