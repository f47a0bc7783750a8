"""JSON that is kept takes the memory of its bytes."""

import pytest

from gateway.core.kept_json import kept_json
from tests.support.effort import kept_bytes_of


def test_it_is_the_json_of_the_value() -> None:
    assert kept_json({"a": [1, None, "é"]}) == '{"a":[1,null,"é"]}'.encode()
    with pytest.raises(TypeError):
        kept_json({"a": object()})


def test_a_short_text_takes_little() -> None:
    kept: list[bytes] = []
    assert kept_bytes_of(lambda: kept.extend(kept_json({}) for _ in range(1000))) < 100_000
