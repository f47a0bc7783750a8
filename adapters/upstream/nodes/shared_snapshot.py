"""A snapshot as nodes share it: what it says and where it stands, without its bodies."""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import orjson
from multidict import CIMultiDict

from gateway.core.header_fields import passed_on, sendable
from gateway.ports.upstreams import Snapshot


class Bodies(NamedTuple):
    """Under which digests the bodies of a snapshot lie: `body`, and `coded` and `text` where it has them."""

    body: str
    coded: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class SharedSnapshot:
    """A snapshot whose body lies under `digest`, and what else it has of bodies under `coded` and `text`.

    `asked_at_ms` is wall time, `took_ms` how long the answer took. A `pending` one is not to be served yet:
    of the events that lead to it from the snapshot `previous` (of `previous_status`, its text under
    `previous_text`), noticed at `changed_at_ms`, only the first `published` are known to have been, and
    `cursor` shows them.

    `unusable` is a newer answer that can't be compared; where there is none before it, `problem` says that
    this is itself one.
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
    status: int = 200
    coded: str | None = None
    coding: str = ""
    coded_etag: str = ""
    text: str | None = None
    last_modified: str | None = None
    problem: str | None = None
    made_by: str = ""
    previous_status: int = 200
    previous_text: str | None = None
    unusable: "SharedSnapshot | None" = None

    @classmethod
    def of(cls, snapshot: Snapshot, bodies: Bodies, asked_at_ms: int, **others: Any) -> "SharedSnapshot":
        """What the others need to know of `snapshot`."""
        return cls(
            digest=bodies.body,
            headers=tuple(snapshot.headers.items()),
            etag=snapshot.etag,
            etags_trusted=snapshot.etags_trusted,
            validators=dict(snapshot.validators),
            asked_at_ms=asked_at_ms,
            took_ms=round((snapshot.received_at - snapshot.asked_at) * 1000),
            cursor=snapshot.cursor,
            status=snapshot.status,
            coded=bodies.coded,
            coding=snapshot.coding,
            coded_etag=snapshot.coded_etag,
            text=bodies.text,
            last_modified=snapshot.last_modified,
            problem=snapshot.problem,
            made_by=snapshot.made_by,
            **others,
        )

    @classmethod
    def parse(cls, text: bytes) -> "SharedSnapshot":
        """The one that `json` gave, less the fields that can't be sent, which an older version kept."""
        return cls._of_members(orjson.loads(text))

    @classmethod
    def _of_members(cls, members: dict[str, Any]) -> "SharedSnapshot":
        headers, _ = passed_on((name, value) for name, value in members.pop("headers"))
        # Before version 2 a colon stood after the epoch, and no cursor holds one otherwise.
        cursor = members.pop("cursor").replace(":", ".")
        validators = sendable(members.pop("validators"))
        unusable = members.pop("unusable", None)
        return cls(
            headers=tuple(headers.items()),
            cursor=cursor,
            validators=validators,
            unusable=None if unusable is None else cls._of_members(unusable),
            **members,
        )

    def json(self) -> bytes:
        """The members as JSON, without those that say nothing: a node of version 1 knows only the others."""
        return orjson.dumps(self._members())

    def _members(self) -> dict[str, Any]:
        members = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {
            field.name: members[field.name] for field in fields(self) if members[field.name] != field.default
        }
        if self.unusable is not None:
            kept["unusable"] = self.unusable._members()
        return kept

    @property
    def bodies(self) -> Bodies:
        """Where its bodies lie."""
        return Bodies(self.digest, self.coded, self.text)

    def snapshot(
        self, body: bytes, asked_at: float, coded: bytes | None = None, text: bytes | None = None
    ) -> Snapshot:
        """The snapshot with its bodies; `asked_at` in this node's monotonic seconds.

        Without those that came coded, where it had some, it is served plain.
        """
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
            status=self.status,
            coded=coded,
            coding="" if coded is None else self.coding,
            coded_etag="" if coded is None else self.coded_etag,
            text=text,
            last_modified=self.last_modified,
            problem=self.problem,
            made_by=self.made_by,
        )
