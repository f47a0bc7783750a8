"""Errors that say more than a problem: RFC 6750's challenge."""

import re

import pytest

from gateway.core.access_errors import InsufficientScope, InvalidToken, SeveralTokens, TokenRequired

_CHALLENGE = re.compile(
    r'Bearer error="[a-z_]+", error_description="[\x20-\x21\x23-\x5b\x5d-\x7e]+"\Z', re.ASCII
)


def test_who_has_no_token_is_told_no_error() -> None:
    assert TokenRequired("Send one.").headers == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize(
    "detail",
    [
        "plain",
        'with "quotes"',
        "back\\slash",
        "line\r\nX-Injected: 1",
        "ümlaut €",
        "\x00\x7f",
        '", error="none',
    ],
)
@pytest.mark.parametrize("kind", [InvalidToken, SeveralTokens, InsufficientScope])
def test_a_challenge_is_one_field_whatever_the_detail_holds(
    kind: type[InvalidToken | InsufficientScope], detail: str
) -> None:
    error = kind(detail)
    assert _CHALLENGE.match(error.headers["WWW-Authenticate"])
    assert error.problem()["detail"] == detail
