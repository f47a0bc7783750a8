"""A long body out of its parts."""

import pytest

from adapters.upstream.long_bodies import joined


@pytest.mark.parametrize("count", [0, 1, 16, 17, 40])
async def test_the_parts_are_one_body(count: int) -> None:
    parts = [bytes([number]) * 65_536 for number in range(count)]

    assert await joined(parts) == b"".join(parts)
