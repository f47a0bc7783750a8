"""Callers' own choices: kept, shared between processes, and read without waiting."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from flags.decide.caller import Caller
from flags.errors import StoreUnreadable, StoreUnwritable
from flags.store.choice_days import day_of
from flags.store.preferences import FilePreferences, preference_key
from tests.support.flags import NEVER_SECONDS, NOW_MS, Told


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "preferences.sqlite"


@asynccontextmanager
async def open_preferences(
    path: Path, told: Told | None = None, max_cached: int = 100
) -> AsyncIterator[FilePreferences]:
    """Started preferences that look at what others kept when they are told to."""
    preferences = FilePreferences(
        path,
        tell=told or Told(),
        now_ms=lambda: NOW_MS,
        max_cached=max_cached,
        poll_seconds=NEVER_SECONDS,
    )
    await preferences.start()
    try:
        yield preferences
    finally:
        await preferences.close()


def execute(path: Path, statement: str) -> list[tuple[object, ...]]:
    """What another program does with the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


async def test_who_chose_nothing_takes_what_the_flags_say(path: Path) -> None:
    async with open_preferences(path) as preferences:
        assert await preferences.get("ann") == "auto"


async def test_a_choice_is_there_again_after_a_restart(path: Path) -> None:
    async with open_preferences(path) as preferences:
        await preferences.put("ann", "polling")
        await preferences.put("bob", "streaming")
        await preferences.put("bob", "auto")
        assert await preferences.get("ann") == "polling"
        assert await preferences.get("bob") == "auto"

    async with open_preferences(path) as preferences:
        assert await preferences.get("ann") == "polling"
        assert await preferences.get("bob") == "auto"


async def test_a_choice_lies_in_the_file_when_it_was_acknowledged(path: Path) -> None:
    async with open_preferences(path) as preferences:
        await preferences.put("ann", "polling")

        assert execute(path, "select key, delivery from preference") == [("ann", "polling")]


async def test_more_choices_than_fit_into_memory_are_all_kept(path: Path) -> None:
    names = [f"user-{number}" for number in range(20)]
    async with open_preferences(path, max_cached=3) as preferences:
        for name in names:
            await preferences.put(name, "polling")
        assert [await preferences.get(name) for name in names] == ["polling"] * 20
        assert await preferences.get("nobody") == "auto"

    async with open_preferences(path, max_cached=3) as preferences:
        assert [await preferences.get(name) for name in names] == ["polling"] * 20


async def test_while_all_choices_are_in_memory_nobody_waits_for_the_disk(path: Path) -> None:
    async with open_preferences(path) as preferences:
        await preferences.put("ann", "polling")
        asking = preferences.get("ann"), preferences.get("nobody")

        assert [answered_at_once(question) for question in asking] == ["polling", "auto"]


def answered_at_once(question: object) -> object:
    """What a coroutine gives that never waits."""
    try:
        question.send(None)  # type: ignore[attr-defined]
    except StopIteration as answer:
        return answer.value
    raise AssertionError("it waited")


async def test_a_choice_kept_by_another_process_is_found(path: Path) -> None:
    async with open_preferences(path) as one, open_preferences(path) as other:
        await one.put("ann", "polling")
        await other.put("bob", "streaming")
        await one.refresh()
        await other.refresh()
        assert (await one.get("bob"), await other.get("ann")) == ("streaming", "polling")

        await other.put("ann", "auto")
        await one.refresh()
        assert await one.get("ann") == "auto"


async def test_the_watcher_looks_by_itself_and_tells_when_it_can_not(path: Path) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    preferences = FilePreferences(path, tell=Told(told.put_nowait), poll_seconds=0.001)
    await preferences.start()
    try:
        await preferences.put("ann", "polling")
        execute(path, "drop table preference")
        assert await asyncio.wait_for(told.get(), 60) == "preferences_watch_failed"
    finally:
        await preferences.close()


async def test_the_last_of_many_choices_at_once_is_the_one_in_memory_and_in_the_file(path: Path) -> None:
    async with open_preferences(path) as preferences:
        choices = ["polling", "streaming", "auto"] * 5 + ["streaming"]
        await asyncio.gather(*(preferences.put("ann", choice) for choice in choices))  # type: ignore[arg-type]

        assert await preferences.get("ann") == "streaming"
        assert execute(path, "select delivery from preference") == [("streaming",)]


async def test_a_choice_whose_caller_went_away_is_the_same_in_memory_and_in_the_file(path: Path) -> None:
    async with open_preferences(path) as preferences:
        await preferences.put("ann", "streaming")
        choosing = asyncio.create_task(preferences.put("ann", "polling"))
        await asyncio.sleep(0)
        choosing.cancel()
        await asyncio.gather(choosing, return_exceptions=True)
        await preferences.put("bob", "polling")

        assert execute(path, "select delivery from preference where key = 'ann'") == [
            (await preferences.get("ann"),)
        ]


def a_text_file(path: Path) -> None:
    path.write_text("no database" * 1000)


def a_directory(path: Path) -> None:
    path.mkdir()


def of_a_newer_version(path: Path) -> None:
    execute(path, "pragma user_version = 3")


@pytest.mark.parametrize("spoil", [a_text_file, a_directory, of_a_newer_version])
async def test_a_file_that_can_not_be_used_stops_the_start(path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(path)
    preferences = FilePreferences(path, tell=Told())

    with pytest.raises(StoreUnreadable) as caught:
        await preferences.start()

    assert str(path) not in caught.value.detail


async def test_a_choice_that_can_not_be_kept_is_refused_and_the_old_one_stays(path: Path) -> None:
    async with open_preferences(path) as preferences:
        await preferences.put("ann", "streaming")
        execute(path, "drop table preference")

        with pytest.raises(StoreUnwritable):
            await preferences.put("ann", "polling")
        assert await preferences.get("ann") == "streaming"


async def test_a_choice_that_can_not_be_read_counts_as_none_and_is_told(path: Path) -> None:
    told = Told()
    async with open_preferences(path, told, max_cached=1) as preferences:
        await preferences.put("ann", "streaming")
        await preferences.put("bob", "streaming")
        execute(path, "drop table preference")

        assert await preferences.get("ann") == "auto"
        assert await preferences.get("bob") == "streaming"
        assert await preferences.get("ann") == "auto"
    assert told.events == ["preferences_failed"]


async def test_a_file_from_before_choices_had_a_day_is_taken_over(path: Path) -> None:
    execute(
        path,
        "create table preference (key text primary key, delivery text not null,"
        " change integer not null unique) without rowid",
    )
    execute(path, "insert into preference values ('ann', 'polling', 1), ('bob', 'auto', 2)")
    execute(path, "pragma user_version = 1")

    async with open_preferences(path) as preferences:
        assert await preferences.get("ann") == "polling"
        await preferences.put("bob", "streaming")
    days = execute(path, "select key, day from preference order by key")
    assert days == [("ann", day_of(NOW_MS) - 1), ("bob", day_of(NOW_MS))]
    async with open_preferences(path) as preferences:
        assert await preferences.get("bob") == "streaming"


async def test_closing_twice_does_nothing_and_later_choices_are_refused(path: Path) -> None:
    async with open_preferences(path) as preferences:
        await preferences.close()
        with pytest.raises(StoreUnwritable, match="closed"):
            await preferences.put("ann", "polling")

    assert not [name for name in os.listdir(path.parent) if name.endswith("-wal")]


async def test_no_file_is_made_before_somebody_chooses(path: Path) -> None:
    preferences = FilePreferences(path, tell=Told())
    await preferences.start()
    assert await preferences.get("c") == "auto"
    await preferences.put("c", "auto")
    await preferences.close()

    assert os.listdir(path.parent) == []


async def test_a_choice_is_there_for_the_next_one_that_opens_the_file(path: Path) -> None:
    first = FilePreferences(path, tell=Told())
    await first.start()
    await first.put("c", "polling")
    assert await first.get("c") == "polling"
    await first.close()
    await first.close()

    second = FilePreferences(path, tell=Told())
    await second.start()
    assert await second.get("c") == "polling"
    assert await second.get("d") == "auto"
    await second.close()


async def test_a_file_that_can_not_be_made_refuses_the_choice_and_is_told(path: Path) -> None:
    told = Told()
    preferences = FilePreferences(path.parent / "missing" / "kept.db", tell=told)
    await preferences.start()

    with pytest.raises(StoreUnwritable):
        await preferences.put("c", "polling")

    assert told.events == ["preferences_failed"]
    assert await preferences.get("c") == "auto"
    await preferences.close()


async def test_after_the_end_nothing_is_kept(path: Path) -> None:
    preferences = FilePreferences(path, tell=Told())
    await preferences.start()
    await preferences.close()

    with pytest.raises(StoreUnwritable):
        await preferences.put("c", "polling")


async def test_a_file_that_another_process_made_is_found(path: Path) -> None:
    async with open_preferences(path) as one, open_preferences(path) as other:
        await one.put("ann", "polling")
        await other.refresh()

        assert await other.get("ann") == "polling"


async def test_a_file_that_could_not_be_made_is_made_once_it_can_be(path: Path) -> None:
    told = Told()
    folder = path.parent / "missing"
    async with open_preferences(folder / "kept.db", told) as preferences:
        with pytest.raises(StoreUnwritable):
            await preferences.put("ann", "polling")
        folder.mkdir()
        await preferences.put("ann", "polling")

        assert await preferences.get("ann") == "polling"
    assert told.events == ["preferences_failed", "preferences_recovered"]


async def test_an_opening_whose_caller_went_away_leaves_nothing_open(path: Path) -> None:
    async with open_preferences(path) as preferences:
        choosing = asyncio.create_task(preferences.put("ann", "polling"))
        await asyncio.sleep(0)
        choosing.cancel()
        await asyncio.gather(choosing, return_exceptions=True)
        await preferences.put("bob", "polling")

        assert execute(path, "select key from preference") == [("bob",)]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("preferences")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Caller(user="a"), Caller(session="a")),
        (Caller(session="a"), Caller(client="a")),
        (Caller(user="a", tenant="t"), Caller(user="a")),
        (Caller(user="a:b", tenant="c"), Caller(user="a", tenant="b:c")),
        (Caller(user="a", tenant='t", "a'), Caller(user="a", tenant="t")),
    ],
)
def test_two_callers_never_share_a_choice(one: Caller, other: Caller) -> None:
    assert preference_key(one) != preference_key(other)


def test_a_caller_keeps_its_choice_whatever_else_changes() -> None:
    assert preference_key(Caller(user="a", session="s", client="c")) == preference_key(Caller(user="a"))
    assert preference_key(Caller(tenant="t")) is None
    assert preference_key(Caller(user="", session="")) is None
