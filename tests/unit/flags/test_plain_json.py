"""Members of JSON that another process wrote."""

from collections.abc import Callable
from typing import Any

import pytest

from flags.plain_json import as_amount, as_count, as_counts, as_flag, as_list, as_object, as_row, as_text


def test_what_is_right_is_given_back() -> None:
    assert as_count(3) == 3
    assert as_amount(3) == 3.0
    assert as_text("abc", 3) == "abc"
    assert as_flag(False) is False
    assert as_row([1, 2], 2) == [1, 2]
    assert as_list([1], 1) == [1]
    assert as_object({"a": 1}, 1) == {"a": 1}
    assert as_counts({"a": 1}, str.upper) == {"A": 1}


@pytest.mark.parametrize(
    "read",
    [
        lambda: as_count(True),
        lambda: as_count(-1),
        lambda: as_count(2**63),
        lambda: as_count(1.0),
        lambda: as_amount(True),
        lambda: as_amount(float("nan")),
        lambda: as_amount(-0.1),
        lambda: as_text("abcd", 3),
        lambda: as_text(None, 3),
        lambda: as_flag(0),
        lambda: as_row([1], 2),
        lambda: as_list([1, 2], 1),
        lambda: as_list("ab", 9),
        lambda: as_object({"a": 1, "b": 2}, 1),
        lambda: as_object([], 1),
        lambda: as_counts({"a": None}, str),
    ],
)
def test_anything_else_is_refused(read: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        read()
