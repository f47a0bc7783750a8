"""The cookies of a request."""

import pytest

from gateway.http.cookies import cookies_named, without_cookie


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


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("session=a", ""),
        ("theme=dark; session=a", "theme=dark"),
        ("session=a; theme=dark;lang=en", "theme=dark;lang=en"),
        ("a=1; session=b; c=2; session = d", "a=1; c=2"),
        ("session", ""),
        ('theme="a; b"; lang = en ;', 'theme="a; b"; lang = en ;'),
        ("xsession=a; session.x=b", "xsession=a; session.x=b"),
        ("", ""),
    ],
)
def test_the_cookies_of_a_name_are_taken_out_and_the_others_stay(line: str, left: str) -> None:
    assert without_cookie(line, "session") == left
