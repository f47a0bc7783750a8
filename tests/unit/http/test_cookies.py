"""The cookies of a request."""

import pytest

from gateway.http.cookies import cookies_named


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        ([], []),
        (["session=a"], ["a"]),
        (["theme=dark; session=a"], ["a"]),
        (["session=a;session=b"], ["a", "b"]),
        (["session=a", "session=b"], ["a", "b"]),
        (['session="a"'], ["a"]),
        (["session = a "], ["a"]),
        (["session="], [""]),
        (["session"], []),
        (["Session=a; xsession=b; session.x=c"], []),
        (["session=a=b=="], ["a=b=="]),
        (["other=1; session"], []),
    ],
)
def test_the_values_of_a_name_are_found_in_their_order(lines: list[str], values: list[str]) -> None:
    assert cookies_named(lines, "session") == values
