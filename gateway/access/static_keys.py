"""Keys for backends and scrapers: made once, kept as hashes (docs/protocol.md, section 9). Pure."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping

PREFIX = "tgk_"
"""What every such key begins with, so that it is told from a token, and found where it was leaked."""

_RANDOM_BYTES = 32


def make_key() -> tuple[str, str]:
    """A new key, and the SHA-256 of it in hexadecimal, which is all that is to be kept.

    The key is random and long, so that its hash needs neither salt nor rounds.
    """
    key = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    return key, _hash(key)


class StaticKeys:
    """The keys that count: names by the SHA-256 of each key, in hexadecimal."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = [(digest.lower(), name) for digest, name in names.items()]

    def find(self, key: str) -> str | None:
        """The name of that key, or None; in a time that does not tell how much of it is right."""
        digest, found = _hash(key), None
        for known, name in self._names:
            if hmac.compare_digest(known, digest):
                found = name
        return found


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
