"""The file store keeps what every flag store promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flags.store.port import FlagStore
from tests.conformance.flag_store import FlagStoreConformance
from tests.support.flags import open_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FlagStore]:
    async with open_store(tmp_path / "flags.json") as store:
        yield store


class TestFileFlagStore(FlagStoreConformance):
    """All of them."""
