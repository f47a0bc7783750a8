"""What Link header fields say of the next page."""

import pytest

from adapters.upstream.asking.links import next_link


@pytest.mark.parametrize(
    "field",
    [
        "<a?x=1,2>; rel=next",
        '<a?x=1,2>; rel="next"',
        '<a?x=1,2>;REL="last Next"',
        '<z>; rel="prev", <a?x=1,2>; rel="next"',
        ', , <z>; rel=prev,<a?x=1,2>;;rel = "next" ',
        r'<z>; title="a \"b, <c>; rel=next"; rel=prev, <a?x=1,2>; title*=UTF-8' + "''x; rel=next",
        '<z>; rel=next; anchor="#part", <a?x=1,2>; rel=next; rel=prev',
    ],
)
def test_the_link_with_the_relation_next_is_the_next_page(field: str) -> None:
    assert next_link([field]) == "a?x=1,2"


def test_a_link_may_stand_in_any_of_the_fields() -> None:
    assert next_link(["<z>; rel=first", "<a>; rel=next", "<b>; rel=next"]) == "a"


@pytest.mark.parametrize(
    "field", ["", "nonsense", "<a>", "<a>; rel=prev; rel=next", "<a; rel=next", '<a>; rel="next', "<a>; rel"]
)
def test_without_that_relation_there_is_no_next_page(field: str) -> None:
    assert next_link([field]) is None


@pytest.mark.parametrize("made_of", ["<", "<a>; a", '<a>; t="\\', " ", "<a>;;", "<a>; a= ", ", "])
def test_a_long_field_takes_as_long_as_it_is(made_of: str) -> None:
    # A pattern that tried the same text again and again would not come to its end.
    assert next_link([made_of * 10_000 + "!"]) is None
