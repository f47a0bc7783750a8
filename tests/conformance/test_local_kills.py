"""Kills that lie over a store change nothing about it while nothing is held."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flags.store.file_store import file_flag_store
from flags.store.local_kills import LocalKills
from flags.store.port import FlagStore
from tests.conformance.flag_store import FlagStoreConformance
from tests.support.flags import NEVER_SECONDS, NOW_MS, Told


class TestLocalKills(FlagStoreConformance):
    """Over a store in a file."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[FlagStore]:
        file = file_flag_store(
            tmp_path / "flags.json", tell=Told(), now_ms=lambda: NOW_MS, poll_seconds=NEVER_SECONDS
        )
        store = LocalKills(file, tell=Told(), now_ms=lambda: NOW_MS)
        await store.start()
        yield store
        await store.close()
