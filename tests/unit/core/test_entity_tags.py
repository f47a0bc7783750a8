"""Entity tags in conditions."""

import pytest

from gateway.core.entity_tags import is_strong, none_match, strong_tags


@pytest.mark.parametrize(
    ("field", "matches"),
    [
        ('"v1"', True),
        ('W/"v1"', True),
        ("*", True),
        (" * ", True),
        ('"v0", W/"v1"', True),
        ('"a,b","v1"', True),
        ('"v0"', False),
        ('W/"v0", "v10"', False),
        ('"v1-gzip"', True),
        ('W/"v1;br"', True),
        ('"v0", "v1--gzip"', True),
        ('"v1-v2"', False),
        ('"v0-gzip"', False),
        ("v1-gzip", False),
        ("v1", False),
        ("", False),
        ('"v1', False),
    ],
)
def test_if_none_match_is_compared_weakly_and_may_be_a_list(field: str, matches: bool) -> None:
    assert none_match(field, '"v1"') is matches


@pytest.mark.parametrize(
    ("etag", "strong"),
    [
        ('"a"', True),
        ('""', True),
        ('W/"a"', False),
        ("a", False),
        ('"a b"', False),
        ('"é"', False),
        ("", False),
    ],
)
def test_only_a_strong_tag_of_plain_characters_is_sent_on(etag: str, strong: bool) -> None:
    assert is_strong(etag) is strong


@pytest.mark.parametrize(
    ("condition", "tags"),
    [
        ('"1"', ["1"]),
        (' "1" , W/"2","3"', ["1", "3"]),
        ('W/"1"', []),
        ('"a,b"', ["a,b"]),
        ("1", None),
        ('"1" "2"', None),
        ("", None),
    ],
)
def test_a_strong_comparison_knows_strong_tags_alone(condition: str, tags: list[str] | None) -> None:
    assert strong_tags(condition) == tags
