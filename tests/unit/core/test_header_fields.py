"""What header fields say, and which of them can be sent."""

import pytest

from gateway.core.header_fields import is_sendable, passed_on, sendable, size_of, text_of

SURROGATE = b"caf\xe9".decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"plain", "plain"), (b"caf\xe9", "café"), ("café".encode(), "café"), (b"\xff\xfe", "ÿþ"), (b"", "")],
)
def test_bytes_are_utf_8_or_else_latin_1(raw: bytes, text: str) -> None:
    assert text_of(raw.decode("utf-8", "surrogateescape")) == text


@pytest.mark.parametrize("value", ["", "a\tb", "café", "\x80", "a" * 10_000])
def test_text_can_be_sent(value: str) -> None:
    assert is_sendable(value)


@pytest.mark.parametrize("value", ["a\x01", "\x00", "a\nb", "a\rb", "\x7f", SURROGATE])
def test_control_characters_and_lone_surrogates_can_not(value: str) -> None:
    assert not is_sendable(value)


def test_what_can_not_be_sent_is_left_out_and_counted() -> None:
    fields = [("A", "1"), ("B", "x\x01"), ("A", SURROGATE), ("C\x7f", "2")]

    taken, left_out = passed_on(fields)

    assert (list(taken.items()), left_out) == ([("A", "1"), ("A", "café")], 2)


def test_a_validator_is_sent_as_it_came_or_not_at_all() -> None:
    given = {"If-None-Match": SURROGATE, "If-Modified-Since": "x"}

    assert sendable(given) == {"If-Modified-Since": "x"}


def test_the_size_is_that_of_names_and_values() -> None:
    assert size_of([(b"Host", b"x"), (b"A", b"")]) == 6
