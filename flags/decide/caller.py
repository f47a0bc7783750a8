"""Who asks for events, as far as a decision may depend on it."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from flags.decide.modes import Preference

CLAIM = "claim:"
"""Before the name of a claim, where an attribute or a stickiness names one."""

Claims = tuple[tuple[str, tuple[str, ...]], ...]
"""Each claim's name with its values as text, ordered by name: hashable, so that callers are."""


_DEFAULT = ("user", "session", "client")
BY_SESSION = frozenset({"default", "session"})
"""The kinds of stickiness that a session is a key for."""


class Caller(NamedTuple):
    """What is known of a caller. Equal callers get equal decisions, so one object may stand for many.

    `claims` come from `comparable_claims`. `preference` is the caller's own choice; `capable` says whether
    its client can take a stream at all. An id that is empty is an id that is missing.
    """

    user: str | None = None
    session: str | None = None
    client: str | None = None
    tenant: str | None = None
    client_version: str | None = None
    claims: Claims = ()
    preference: Preference = "auto"
    capable: bool = True

    def values(self, attribute: str) -> tuple[str, ...]:
        """What the caller has of an attribute of flags.decide.targeting; nothing where it has none."""
        if attribute.startswith(CLAIM):
            name = attribute.removeprefix(CLAIM)
            return next((values for claim, values in self.claims if claim == name), ())
        value = {
            "user": self.user,
            "session": self.session,
            "client": self.client,
            "tenant": self.tenant,
            "clientVersion": self.client_version,
        }[attribute]
        return (value,) if value else ()

    def key(self, stickiness: str) -> str | None:
        """The member that keeps the caller in its bucket, or None where it has none.

        `default` is the user, else the session, else the client. A claim with several values names nobody.
        """
        if stickiness == "default":
            return self.user or self.session or self.client or None
        values = self.values(stickiness)
        return values[0] if len(values) == 1 else None

    def key_from(self, stickiness: str) -> str | None:
        """The attribute whose value `key` gives, or None where it gives none."""
        names = _DEFAULT if stickiness == "default" else (stickiness,)
        return next((name for name in names if self.key(name) is not None), None)


def comparable_claims(claims: Mapping[str, object]) -> Claims:
    """The claims of a token that rules can compare: scalars, and lists for their scalars.

    Numbers and booleans become their JSON text. Objects, nulls and empty text compare with nothing and
    are left out.
    """
    return tuple((name, values) for name in sorted(claims) if (values := _texts(claims[name])))


def _texts(value: object) -> tuple[str, ...]:
    members = value if isinstance(value, (list, tuple)) else [value]
    texts = (member if isinstance(member, str) else _json_scalar(member) for member in members)
    return tuple(text for text in texts if text)


def _json_scalar(value: object) -> str:
    return json.dumps(value) if isinstance(value, (bool, int, float)) else ""
