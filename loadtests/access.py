"""A gateway that asks for tokens, and the tokens: a subject of its own for every stream."""

import time
from functools import cache

import jwt

_SECRET = "the secret of a benchmark, which guards nothing"
_LIFETIME_SECONDS = 6 * 3600

CONFIG = f"""
[auth]
mode = "jwt"
secret = "{_SECRET}"

[[auth.grants]]
when = {{ reads = "all" }}
subscribe = ["order"]

[[auth.grants]]
when = {{ reads = "own" }}
subscribe = ["order:{{sub}}"]
"""
"""Each subject has one grant: that of the whole type, or of the one entity that is named as it is."""


@cache
def stream_token(index: int, entity: str) -> str:
    """The token of stream `index`, which may read the entity that it asks for, or all where that is ""."""
    own = entity.partition(":")[2]
    return _mint({"sub": own or f"reader-{index}", "reads": "own" if own else "all"})


@cache
def publisher_token() -> str:
    """The token of whoever publishes."""
    return _mint({"sub": "publisher", "tidegate": {"publish": ["order"]}})


def _mint(claims: dict[str, object]) -> str:
    now = int(time.time())
    return jwt.encode({**claims, "iat": now, "exp": now + _LIFETIME_SECONDS}, _SECRET, algorithm="HS256")
