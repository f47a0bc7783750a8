"""A snapshot as nodes share it: what it says and where it stands, without its body."""

from dataclasses import dataclass
from typing import Any

import orjson
from multidict import CIMultiDict

from gateway.core.header_fields import passed_on, sendable
from gateway.ports.upstreams import Snapshot


@dataclass(frozen=True, slots=True)
class SharedSnapshot:
    """A snapshot whose body lies under `digest`.

    `asked_at_ms` is wall time, `took_ms` how long the answer took. A `pending` one is not to be served yet:
    of the events that lead to it from the snapshot `previous`, noticed at `changed_at_ms`, only the first
    `published` are known to have been, and `cursor` shows them.
    """

    digest: str
    headers: tuple[tuple[str, str], ...]
    etag: str
    etags_trusted: bool
    validators: dict[str, str]
    asked_at_ms: int
    took_ms: int
    cursor: str
    pending: bool = False
    previous: str | None = None
    changed_at_ms: int = 0
    published: int = 0

    @classmethod
    def of(cls, snapshot: Snapshot, asked_at_ms: int, **pending: Any) -> "SharedSnapshot":
        """What the others need to know of `snapshot`."""
        return cls(
            digest=snapshot.digest,
            headers=tuple(snapshot.headers.items()),
            etag=snapshot.etag,
            etags_trusted=snapshot.etags_trusted,
            validators=dict(snapshot.validators),
            asked_at_ms=asked_at_ms,
            took_ms=round((snapshot.received_at - snapshot.asked_at) * 1000),
            cursor=snapshot.cursor,
            **pending,
        )

    @classmethod
    def parse(cls, text: bytes) -> "SharedSnapshot":
        """The one that `json` gave, less the fields that can't be sent, which an older version kept."""
        members = orjson.loads(text)
        headers, _ = passed_on((name, value) for name, value in members.pop("headers"))
        # Before version 2 a colon stood after the epoch, and no cursor holds one otherwise.
        cursor = members.pop("cursor").replace(":", ".")
        validators = sendable(members.pop("validators"))
        return cls(headers=tuple(headers.items()), cursor=cursor, validators=validators, **members)

    def json(self) -> bytes:
        """The members as JSON."""
        return orjson.dumps(self)

    def snapshot(self, body: bytes, asked_at: float) -> Snapshot:
        """The snapshot with its body; `asked_at` in this node's monotonic seconds."""
        return Snapshot(
            body=body,
            digest=self.digest,
            headers=CIMultiDict(self.headers),
            etag=self.etag,
            etags_trusted=self.etags_trusted,
            validators=self.validators,
            asked_at=asked_at,
            received_at=asked_at + self.took_ms / 1000,
            cursor=self.cursor,
        )
