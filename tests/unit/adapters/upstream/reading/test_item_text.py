"""What is an item, what is a bad one, and what is no JSON at all."""

import pytest

from adapters.upstream.failures import BadAnswer
from adapters.upstream.reading.item_text import decoded, decoded_leniently


@pytest.mark.parametrize(
    ("raw", "depth", "kind"),
    [
        (b'{"a":1}', 1, None),
        (b"7", 0, "not_an_object"),
        (b"null", 0, "not_an_object"),
        (b"[{}]", 2, "not_an_object"),
        (b'"\\ud83d"', 0, "not_an_object"),
        (b'{"a":"\\ud83d"}', 1, "unreadable"),
        (b'{"a":"\xff"}', 1, "unreadable"),
        (b'{"a":1e999}', 1, "unreadable"),
        (b'{"a":1%b}' % (b"0" * 5000), 1, "unreadable"),
        (b'{"a":%b}' % (b"[" * 300 + b"]" * 300), 301, "too_deep"),
        (b'{"a":%b}' % (b"[" * 3000 + b"]" * 3000), 3001, "too_deep"),
    ],
)
def test_what_is_wrong_with_an_item_is_named(raw: bytes, depth: int, kind: str | None) -> None:
    assert decoded(raw, depth)[1] == kind


@pytest.mark.parametrize(
    "raw", [b'{"a":1,}', b'{"a":NaN}', b'{"a":-Infinity}', b"{'a':1}", b'{"a":"\n"}', b"x"]
)
def test_what_browsers_do_not_read_either_makes_the_answer_no_json(raw: bytes) -> None:
    with pytest.raises(BadAnswer) as caught:
        decoded(raw, 1)
    assert caught.value.kind == "not_json"


@pytest.mark.parametrize("raw", [b'{"id":1,"a":"\\ud83d"}', b'{"id":1,"a":%b}' % (b"[" * 300 + b"]" * 300)])
def test_the_key_of_a_bad_item_can_be_read(raw: bytes) -> None:
    item, _ = decoded(raw, raw.count(b"[") + 1)
    assert item is not None
    assert item["id"] == decoded_leniently(raw)["id"] == 1
