"""Header fields that every caller may see."""

from pathlib import Path

from multidict import CIMultiDict

from adapters.upstream.shared_fields import CORS_FIELDS, NOT_SHARED, OF_THE_CODED, end_to_end

PROTOCOL = Path(__file__).parents[4] / "docs" / "protocol.md"


def test_fields_of_one_caller_or_one_connection_are_not_shared() -> None:
    headers = CIMultiDict(
        [
            ("Content-Type", "application/json"),
            ("X-Total-Count", "12"),
            ("Link", "</orders?page=2>; rel=next"),
            ("Set-Cookie", "session=secret"),
            ("Connection", "keep-alive, X-Hop"),
            ("X-Hop", "1"),
            ("Content-Length", "9"),
            ("ETag", '"v1"'),
        ]
    )

    shared, left_out = end_to_end(headers.items(), NOT_SHARED)

    assert left_out == 0
    assert dict(shared) == {
        "Content-Type": "application/json",
        "X-Total-Count": "12",
        "Link": "</orders?page=2>; rel=next",
    }


def test_the_protocol_names_each_field_that_is_not_shared() -> None:
    _, section = PROTOCOL.read_text(encoding="utf-8").split("\n## 7.", 1)
    named = section.split("\n## 8.", 1)[0].lower()
    assert [name for name in (NOT_SHARED | OF_THE_CODED) - CORS_FIELDS if f"`{name}`" not in named] == []
