"""One legacy route: what is polled, how its answer is read, and what its changes are called."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from yarl import URL

from gateway.core.events import NAME_PATTERN, RESERVED_EVENT_TYPES

_NAME = re.compile(NAME_PATTERN)
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/\-]*\Z")
_POINTER = re.compile(r"(/([^~]|~[01])*)?\Z", re.DOTALL)
_LONGEST_ENTITY = 64 - len("_created")


@dataclass(frozen=True, eq=False)
class LegacyRoute:
    """A path that pollers call, and the upstream behind it (docs/protocol.md, section 7).

    `items` is a JSON pointer (RFC 6901) to the list in the answer, "" the whole answer; `key` the member that
    identifies an item; `changes` gives the event type for a changed member. `events` says whether the poll
    publishes what it sees change, or only serves. Raises ValueError for a value that can't work.
    """

    component: str
    path: str
    upstream: str
    entity: str
    items: str
    key: str
    interval_seconds: float
    shared: bool = False
    events: Literal["poll", "external"] = "poll"
    changes: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 10.0
    max_body_bytes: int = 16 * 1024 * 1024
    stale_if_error_seconds: float = 300.0
    max_delete_ratio: float = 0.5
    max_event_bytes: int = 65_536

    def __post_init__(self) -> None:
        if not _PATH.match(self.path) or "//" in self.path or {".", ".."} & set(self.path.split("/")):
            raise ValueError("path: must be a plain absolute path such as /api/v1/orders")
        if not _NAME.match(self.component):
            raise ValueError("component: must be 1 to 64 of A-Z a-z 0-9 _ . -")
        if not _NAME.match(self.entity) or len(self.entity) > _LONGEST_ENTITY:
            raise ValueError(f"entity: must be 1 to {_LONGEST_ENTITY} of A-Z a-z 0-9 _ . -")
        if not _POINTER.match(self.items):
            raise ValueError('items: must be a JSON pointer such as /docs, or "" for the whole answer')
        if not self.key:
            raise ValueError("key: must name a member")
        for member, event_type in self.changes.items():
            if not _NAME.match(event_type) or event_type in RESERVED_EVENT_TYPES:
                raise ValueError(f"changes.{member}: {event_type!r} can't be an event type")
        if min(self.interval_seconds, self.timeout_seconds, self.max_body_bytes, self.max_event_bytes) <= 0:
            raise ValueError("interval_seconds, timeout_seconds and the sizes must be above 0")
        if self.stale_if_error_seconds < 0 or not 0 <= self.max_delete_ratio <= 1:
            raise ValueError("stale_if_error_seconds must not be negative, max_delete_ratio within 0 to 1")
        if self.url.scheme not in ("http", "https") or not self.url.raw_host:
            raise ValueError("upstream: must be an http or https URL")
        if self.url.raw_user is not None or self.url.raw_password is not None or self.url.raw_fragment:
            raise ValueError("upstream: must hold no user, password or fragment")

    @cached_property
    def url(self) -> URL:
        """Where the list is asked for: as it was written, which may not be how yarl would quote it."""
        return URL(self.upstream, encoded=self.upstream.isascii())

    @cached_property
    def source(self) -> str:
        """What the events of this route say about where they come from."""
        return f"poll:{self.component}"
