"""Header fields that every caller may see."""

from multidict import CIMultiDict

from adapters.upstream.shared_fields import NOT_SHARED, end_to_end


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
