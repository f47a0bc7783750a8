"""As whom callers are in channels, and which they may use."""

from dataclasses import replace

import pytest

from gateway.access.channels import check_channels, user_of
from gateway.access.principal import OPEN, Principal
from gateway.core.access_errors import InsufficientScope
from gateway.core.credentials import Credentials


@pytest.mark.parametrize(
    ("principal", "client", "user"),
    [
        (Principal(Credentials(subject="ana")), "ben", "ana"),
        (Principal(Credentials(subject="ana", key="k")), None, "ana"),
        (Principal(Credentials(key="bot")), "ben", "key:bot"),
        (OPEN, "ana", "ana"),
        (OPEN, None, None),
        (replace(OPEN, credentials=Credentials(subject="ana")), "ben", "ana"),
        (Principal(), "ana", "anonymous:ana"),
        (Principal(), None, None),
    ],
)
def test_a_caller_is_its_subject_or_key_and_without_either_what_it_calls_itself(principal, client, user):
    assert user_of(principal, client) == user


@pytest.mark.parametrize("credentials", [Credentials(expires_at=5.0), Credentials(token_id="t")])
def test_a_token_without_a_subject_is_nobody_in_a_channel(credentials):
    with pytest.raises(InsufficientScope, match="sub"):
        user_of(Principal(credentials), "ana")


def test_every_channel_has_to_be_granted_for_that_use():
    principal = Principal(presence=frozenset({"a", "b"}), broadcast=frozenset({"*"}))
    check_channels(principal, "presence", ["a", "b"])
    check_channels(principal, "presence", [])
    check_channels(principal, "broadcast", ["whatever"])
    with pytest.raises(InsufficientScope, match="presence grants do not have c, d"):
        check_channels(principal, "presence", ["a", "d", "c"])
    with pytest.raises(InsufficientScope, match="broadcast grants do not have a"):
        check_channels(Principal(presence=frozenset({"*"})), "broadcast", ["a"])
