"""gateway/core/json_weight.py: what decoded JSON costs to keep, roughly."""

import pytest

from gateway.core.json_weight import json_weight


@pytest.mark.parametrize("value", [None, True, 7, "x" * 256, [], {}, {"sub": "user-1", "exp": 1}])
def test_what_is_small_weighs_nothing(value: object) -> None:
    assert json_weight(value) == 0


@pytest.mark.parametrize(
    ("value", "weight"),
    [
        (["a" * 8] * 1000, 140),
        ({"groups": ("a" * 8,) * 1000}, 141),
        ({f"name-{number:03}": None for number in range(1000)}, 265),
        ({"a": {"b": [[0] * 80]}}, 10),
        ("x" * 5120, 10),
    ],
)
def test_many_values_weigh_and_so_does_long_text(value: object, weight: int) -> None:
    assert json_weight(value) == weight


def test_what_is_deep_is_weighed_like_anything_else() -> None:
    value: object = 1
    for _ in range(100_000):
        value = [value]
    assert json_weight(value) == 12_500
