"""Revocations: which tokens and keys count no more, and from which place in the log on.

The contract is docs/protocol.md, section 9. Pure: what is known comes in, and nothing is kept here for long.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args

from gateway.core.access_errors import InvalidToken
from gateway.core.credentials import Credentials
from gateway.core.events import ORIGIN, REVOCATION, Cursor, Event, Position

Kind = Literal["subject", "tokenId", "key"]
"""What a revocation goes by, as JSON names it: a token's `sub`, its `jti`, or the name of a static key."""

Whom = tuple[Kind, str]

KINDS: tuple[Kind, ...] = get_args(Kind)

MOST_PLACES = 8
"""How many revocations of one subject are told apart: all that count for streams that are still behind."""


class Revocation(NamedTuple):
    """What came after its place in the log reaches nobody whom it covers.

    Of a subject or a token id those tokens that were issued before `issued_before` (seconds since
    1970-01-01T00:00Z), and those that do not say when they were. A key has no such time: it counts no more.
    `made_at` is when that was said, likewise in seconds.
    """

    kind: Kind
    name: str
    issued_before: float
    reason: str
    made_at: float = 0.0

    @property
    def whom(self) -> Whom:
        return self.kind, self.name

    def covers(self, credentials: Credentials) -> bool:
        """Whether these credentials are among those that it revokes."""
        if self.whom not in _known_by(credentials):
            return False
        issued_at = credentials.issued_at
        return self.kind == "key" or issued_at is None or issued_at < self.issued_before

    def event(self, timestamp: str) -> Event:
        """How it stands in the log; `timestamp` is as of any event. `of` gives it back."""
        return Event(REVOCATION, None, None, "signal", timestamp, self.members())

    @classmethod
    def of(cls, event: Event) -> "Revocation | None":
        """The revocation that an event of the type REVOCATION is; None where it is malformed."""
        return cls.parse(event.data)

    @classmethod
    def parse(cls, members: object) -> "Revocation | None":
        """The same of the event's data."""
        if not isinstance(members, Mapping):
            return None
        kinds = [kind for kind in KINDS if kind in members]
        if len(kinds) != 1:
            return None
        name, reason = members[kinds[0]], members.get("reason", "")
        times = [members.get("issuedBefore"), members.get("madeAt", 0.0)]
        if not isinstance(name, str) or not isinstance(reason, str) or not all(map(_is_time, times)):
            return None
        issued_before, made_at = map(float, times)
        return cls(kinds[0], name, issued_before, reason, made_at)

    def members(self) -> dict[str, Any]:
        """What `parse` reads."""
        return {
            self.kind: self.name,
            "issuedBefore": self.issued_before,
            "reason": self.reason,
            "madeAt": self.made_at,
        }


class Held(NamedTuple):
    """A revocation, and its place in the log."""

    revocation: Revocation
    cursor: Cursor


class Revocations:
    """Those that hold, by whom they are about. To ask costs the same however many there are.

    Of several of one subject the first that covers a token is where that ends. The newest time counts.
    """

    def __init__(self) -> None:
        self._held: dict[Whom, list[Held]] = {}

    def __len__(self) -> int:
        """How many subjects, token ids and keys are revoked."""
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        """The newest of each, in the order in which they were first revoked."""
        return (places[-1] for places in self._held.values())

    def __contains__(self, whom: Whom) -> bool:
        return whom in self._held

    def get(self, whom: Whom) -> Held | None:
        """The newest of it."""
        places = self._held.get(whom)
        return None if places is None else places[-1]

    def add(self, revocation: Revocation, cursor: Cursor) -> bool:
        """Takes one in, in the log's order. Says whether it covers what none before it did."""
        places = self._held.setdefault(revocation.whom, [])
        if places and not _goes_further(revocation, places[-1].revocation):
            return False
        places.append(Held(revocation, cursor))
        if len(places) > MOST_PLACES:
            # Whatever the second covers ends at the first one's place: earlier than it had to, never later.
            places[:2] = [places[1]._replace(cursor=places[0].cursor)]
        return True

    def expire(self, now: float, held_seconds: float) -> None:
        """Drops those of tokens that were made before that: what they cover has expired. Keys never do."""
        until = now - held_seconds
        for whom in [whom for whom, places in self._held.items() if _is_over(places[-1].revocation, until)]:
            del self._held[whom]

    def check(self, credentials: Credentials | None) -> None:
        """Raises InvalidToken where these credentials count no more."""
        if self.covers(credentials):
            raise InvalidToken("The token was revoked.")

    def covers(self, credentials: Credentials | None) -> bool:
        """Whether one of them covers these credentials."""
        return self.end_of(credentials, "") is not None

    def end_of(self, credentials: Credentials | None, epoch: str) -> Position | None:
        """The place in the log after which nothing reaches these credentials; None where none covers them.

        One of another epoch comes before everything of this one.
        """
        if credentials is None or not self._held:
            return None
        ends = [
            held.cursor.position if held.cursor.epoch == epoch else ORIGIN
            for whom in _known_by(credentials)
            for held in self._held.get(whom, ())
            if held.revocation.covers(credentials)
        ]
        return min(ends) if ends else None


def _known_by(credentials: Credentials) -> list[Whom]:
    names: list[tuple[Kind, str | None]] = [
        ("subject", credentials.subject),
        ("tokenId", credentials.token_id),
        ("key", credentials.key),
    ]
    return [(kind, name) for kind, name in names if name is not None]


def _goes_further(revocation: Revocation, before: Revocation) -> bool:
    return revocation.kind != "key" and revocation.issued_before > before.issued_before


def _is_over(revocation: Revocation, until: float) -> bool:
    return revocation.kind != "key" and max(revocation.made_at, revocation.issued_before) < until


def _is_time(value: object) -> bool:
    # A boolean is a number to Python, and not to JSON.
    return isinstance(value, int | float) and not isinstance(value, bool)
