"""Choices whose file is made by the first of them."""

import os
from pathlib import Path

import pytest

from flags.errors import StoreUnwritable
from flags.store.late_preferences import LatePreferences
from tests.support.flags import Told


async def test_no_file_is_made_before_somebody_chooses(tmp_path: Path) -> None:
    preferences = LatePreferences(tmp_path / "kept.db", tell=Told())
    await preferences.start()
    assert await preferences.get("c") == "auto"
    await preferences.put("c", "auto")
    await preferences.close()

    assert os.listdir(tmp_path) == []


async def test_a_choice_is_there_for_the_next_one_that_opens_the_file(tmp_path: Path) -> None:
    first = LatePreferences(tmp_path / "kept.db", tell=Told())
    await first.start()
    await first.put("c", "polling")
    assert await first.get("c") == "polling"
    await first.close()
    await first.close()

    second = LatePreferences(tmp_path / "kept.db", tell=Told())
    await second.start()
    assert await second.get("c") == "polling"
    assert await second.get("d") == "auto"
    await second.close()


async def test_a_file_that_can_not_be_made_refuses_the_choice_and_is_told(tmp_path: Path) -> None:
    told = Told()
    preferences = LatePreferences(tmp_path / "missing" / "kept.db", tell=told)
    await preferences.start()

    with pytest.raises(StoreUnwritable):
        await preferences.put("c", "polling")

    assert told.events == ["preferences_failed"]
    assert await preferences.get("c") == "auto"
    await preferences.close()


async def test_after_the_end_nothing_is_kept(tmp_path: Path) -> None:
    preferences = LatePreferences(tmp_path / "kept.db", tell=Told())
    await preferences.start()
    await preferences.close()

    with pytest.raises(StoreUnwritable):
        await preferences.put("c", "polling")
