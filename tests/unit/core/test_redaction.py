"""gateway/core/redaction.py: passwords are shown to nobody."""

import pytest

from gateway.core.redaction import redacted, without_tokens


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://ann:secret@db/events", "postgres://ann:***@db/events"),
        ("postgres://ann:s@cr:et@db/events", "postgres://ann:***@db/events"),
        ("redis://:secret@cache:6379/1", "redis://:***@cache:6379/1"),
        (
            "redis+sentinel://u:p@a,b/m?sentinel_password=q&x=y",
            "redis+sentinel://u:***@a,b/m?sentinel_password=***&x=y",
        ),
        ("postgres://db/events?user=ann&password=secret", "postgres://db/events?user=ann&password=***"),
        ('postgres://ann:se cr"et?#@db/events', "postgres://ann:***@db/events"),
        (
            "postgres://db/events?p%61ssword=se cret&sslPassword=x",
            "postgres://db/events?p%61ssword=***&sslPassword=***",
        ),
        ("http://db/orders?access_token=secret&limit=5", "http://db/orders?access_token=***&limit=5"),
        ("postgres://ann@db/events", "postgres://ann@db/events"),
        ("redis://[::1]:6379", "redis://[::1]:6379"),
        ("sqlite:///events.db", "sqlite:///events.db"),
        ("the URL is postgres://ann:secret@db", "the URL is postgres://ann:***@db"),
    ],
)
def test_a_url_is_shown_without_its_passwords(url: str, shown: str) -> None:
    assert redacted(url) == shown


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2ln-_"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (f"Bearer {JWT}.", "Bearer ***"),
        (f"id={JWT}&x=1", "id=***&x=1"),
        ("eyJlbmMiOiJBMTI4R0NNIn0.a.b.c.d", "***"),
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "***"),
        ("the key is tgk_Ab-_9, said he", "the key is ***, said he"),
        ("\ttgk_Ab \\tgk_Ab \x0eyJhbGciOiJI", "\t*** \\*** \x0eyJhbGciOiJI"),
        (
            {"a": [JWT, 7, None, True], JWT: {"b": "tgk_1"}},
            {"a": ["***", 7, None, True], "***": {"b": "***"}},
        ),
        ("eyes.open.wide", "eyes.open.wide"),
    ],
)
def test_what_looks_like_a_token_is_not_shown(value: object, shown: object) -> None:
    assert without_tokens(value) == shown
