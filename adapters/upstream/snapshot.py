"""The last good answer of an upstream, as every caller gets it."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from adapters.upstream.asking.fetch import Fetched
from adapters.upstream.shared_fields import NOT_SHARED, OF_THE_CODED, end_to_end
from gateway.core.entity_tags import is_strong
from gateway.core.header_fields import is_sendable, sendable
from gateway.core.times import http_date
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.upstreams import Snapshot


class Moment(NamedTuple):
    """When an answer was asked for and came (monotonic; the latter also in wall time), and its cursor."""

    asked_at: float
    received_at: float
    received_ms: int
    cursor: str

    def on(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot, confirmed at this moment."""
        return replace(snapshot, asked_at=self.asked_at, received_at=self.received_at, cursor=self.cursor)


def digest_of(fetched: Fetched, route: LegacyRoute) -> str:
    """128 bits that stand for all that an answer says of the list, in hexadecimal.

    Of one body with status 200 it is that of the body alone, as it was before there were others. The names of
    the functions are part of it: what others make of the same bodies is something else.
    """
    digest = hashlib.blake2b(fetched.body, digest_size=16)
    functions = route.functions
    if fetched.status != 200 or fetched.more or functions:
        lengths = [len(fetched.body), *map(len, fetched.more)]
        digest.update(repr((fetched.status, lengths, functions.decode, functions.map)).encode())
        for body in fetched.more:
            digest.update(body)
    return digest.hexdigest()


def snapshot_of(
    fetched: Fetched, digest: str, route: LegacyRoute, moment: Moment, *, is_trusted: bool
) -> tuple[Snapshot, int]:
    """An answer as callers get it, and how many header fields are left out because they can't be sent.

    An upstream's strong entity tag names the bytes that came. Where those are in a content coding, the plain
    body has a tag of the gateway's own, made of the digest; so has either where the upstream gave no strong
    one, or its tags are not trusted. A plain body and a coded one never share a tag.
    """
    given = fetched.headers.get("ETag", "")
    tag = given if is_trusted and is_strong(given) else None
    left_out = NOT_SHARED if fetched.coded is None else NOT_SHARED | OF_THE_CODED
    headers, count = end_to_end(fetched.headers.items(), left_out)
    validators = {}
    # What the first answer says of itself it does not say of those that follow.
    if not route.is_in_parts:
        validators = validators_of(fetched.headers, datetime.fromtimestamp(moment.received_ms / 1000, UTC))
    if not is_trusted:
        validators.pop("If-None-Match", None)
    # Two names of one coding (RFC 9110, section 8.4.1.3).
    coding = fetched.coding.removeprefix("x-")
    own, modified = f'"{digest}"', fetched.headers.get("Last-Modified", "")
    snapshot = Snapshot(
        body=fetched.body,
        digest=digest,
        headers=headers,
        etag=(tag or own) if fetched.coded is None else own,
        etags_trusted=is_trusted,
        validators=validators,
        asked_at=moment.asked_at,
        received_at=moment.received_at,
        cursor=moment.cursor,
        status=fetched.status,
        coded=fetched.coded,
        coding=coding,
        coded_etag="" if fetched.coded is None else tag or f'"{digest}-{coding}"',
        last_modified=modified if modified and is_sendable(modified) else None,
        made_by=route.functions.names,
    )
    return snapshot, count


def with_body_of(old: Snapshot, new: Snapshot) -> Snapshot:
    """`new`, of which the list is that of `old`, with the bytes of that: they are kept once."""
    kept = replace(new, body=old.body, text=old.text)
    if (old.coding, old.coded_etag) == (new.coding, new.coded_etag):
        return replace(kept, coded=old.coded)
    return kept


def distrusted(snapshot: Snapshot) -> Snapshot:
    """The snapshot without the upstream's entity tags, which no longer tell its bodies apart."""
    validators = {name: value for name, value in snapshot.validators.items() if name != "If-None-Match"}
    own = f'"{snapshot.digest}"'
    coded = "" if snapshot.coded is None else f'"{snapshot.digest}-{snapshot.coding}"'
    return replace(snapshot, etags_trusted=False, validators=validators, etag=own, coded_etag=coded)


def validators_of(headers: Mapping[str, str], received: datetime) -> dict[str, str]:
    """The fields of a conditional request that asks for news since the answer with `headers`.

    If-Modified-Since only where Last-Modified is older than the answer by at least a second: within the
    second the upstream could change again and still say 304, for ever (RFC 9110, section 8.8.2.2).
    `received` stands in for a Date that the upstream did not send (section 6.6.1). A field that can't be sent
    as it came is none of them.
    """
    fields = {}
    etag = headers.get("ETag")
    if etag:
        fields["If-None-Match"] = etag
    modified = headers.get("Last-Modified")
    if modified:
        changed_at, answered_at = http_date(modified), http_date(headers.get("Date", "")) or received
        if changed_at is not None and answered_at - changed_at >= timedelta(seconds=1):
            fields["If-Modified-Since"] = modified
    return sendable(fields)
