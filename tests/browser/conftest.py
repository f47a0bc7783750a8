"""One browser for all tests here, and so one event loop; each test has profiles of its own."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.support.browser import browsing
from tests.support.browser_world import Worlds, a_world

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests run in the loop of the browser, which outlives them."""
    for item in items:
        if _HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as running:
        yield running


@pytest.fixture
def world(browser: Browser, tmp_path: Path) -> Worlds:
    """`async with world(**sections) as one:` begins a World."""
    return partial(a_world, browser, tmp_path)
