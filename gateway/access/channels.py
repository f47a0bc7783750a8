"""As whom a caller is in channels, and which it may use (docs/protocol.md, section 10)."""

from collections.abc import Iterable
from typing import Literal

from gateway.access.principal import Principal
from gateway.core.access_errors import InsufficientScope
from gateway.core.credentials import NOBODY
from gateway.core.grants import EVERY

KEY_PREFIX = "key:"
ANONYMOUS_PREFIX = "anonymous:"
"""Whoever has no token, where others have one, can't call itself by a subject."""

Use = Literal["presence", "broadcast"]


def user_of(principal: Principal, client: str | None) -> str | None:
    """The caller as others see it in channels; `client` is what it calls itself.

    None for a caller without a token that does not call itself anything. Raises InsufficientScope for a token
    without a subject.
    """
    credentials = principal.credentials
    if credentials.subject is not None:
        return credentials.subject
    if credentials.key is not None:
        return KEY_PREFIX + credentials.key
    if credentials != NOBODY:
        raise InsufficientScope("Your token's sub is what others see in a channel: get a token that has one.")
    if client is None or principal.scope is None:
        return client
    return ANONYMOUS_PREFIX + client


def check_channels(principal: Principal, use: Use, channels: Iterable[str]) -> None:
    """Raises InsufficientScope where the caller has no grant for one of the channels."""
    granted = principal.presence if use == "presence" else principal.broadcast
    if EVERY in granted:
        return
    refused = sorted({*channels} - granted)
    if refused:
        raise InsufficientScope(f"Your {use} grants do not have {', '.join(refused)}.")
