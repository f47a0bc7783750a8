"""gateway/http/answer.py: an answer's bytes, and whose its fields are."""

import pytest
from multidict import CIMultiDict

from gateway.http.answer import Answer, SharedFields, lines_of


def parts(whole: bytes) -> tuple[list[bytes], bytes]:
    """The lines of a head, and the body."""
    head, _, body = whole.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), body


def test_an_answer_says_its_fields_its_length_and_when_it_was_made() -> None:
    lines, body = parts(Answer(200, CIMultiDict([("Link", "a"), ("Link", "b")]), b"12345").bytes())
    assert lines[:4] == [b"HTTP/1.1 200 OK", b"Link: a", b"Link: b", b"Content-Length: 5"]
    assert [line.partition(b": ")[0] for line in lines[4:]] == [b"Date", b"Server"]
    assert body == b"12345"


@pytest.mark.parametrize("status", [204, 304])
def test_what_has_no_body_says_no_length(status: int) -> None:
    lines, body = parts(Answer(status, CIMultiDict()).bytes())
    assert not [line for line in lines if line.lower().startswith(b"content-length")]
    assert body == b""


@pytest.mark.parametrize("value", ["a\r\nEvil: 1", "a\nb", "a\rb", "\r\n", "a\r\n\r\n<html>", "\n\r"])
@pytest.mark.parametrize("place", ["name", "value"])
def test_no_field_ends_before_its_end(place: str, value: str) -> None:
    headers = CIMultiDict([("X", "1"), (value, "1") if place == "name" else ("Y", value)])
    with pytest.raises(ValueError, match="line break"):
        lines_of(headers)
    with pytest.raises(ValueError, match="line break"):
        SharedFields(headers)
    with pytest.raises(ValueError, match="line break"):
        Answer(200, headers).bytes()


def test_what_one_answer_adds_is_in_no_other_with_the_same_fields() -> None:
    shared = SharedFields(CIMultiDict({"X": "1"}))
    before = Answer(200, shared).bytes()
    marked = Answer(200, shared)
    marked.headers["Set-Cookie"] = "ana"
    assert b"\r\nSet-Cookie: ana\r\n" in marked.bytes()
    for later in (Answer(200, shared), Answer(304, shared)):
        assert b"Set-Cookie" not in later.bytes()
        assert "Set-Cookie" not in later.headers
    assert b"Set-Cookie" not in before


def test_shared_fields_go_out_with_the_status_and_length_of_each_answer() -> None:
    shared = SharedFields(CIMultiDict({"X": "1"}))
    for status, body in [(200, b"1"), (304, b""), (200, b"22"), (404, b"333")]:
        lines, said = parts(Answer(status, shared, body).bytes())
        assert lines[0].startswith(b"HTTP/1.1 %d " % status)
        assert said == body
        assert (b"Content-Length: %d" % len(body) in lines) == (status != 304)
