"""Answers of legacy routes as they are written (tests/integration/test_legacy_snapshot.py has the rest)."""

import asyncio

from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway.http.legacy_answers import _in_parts


async def test_a_long_answer_leaves_turns_to_others_also_where_its_caller_takes_all_at_once() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(others())
    await _in_parts(make_mocked_request("GET", "/orders"), bytes(16 * 1_048_576), CIMultiDict())
    task.cancel()

    assert turns >= 16
