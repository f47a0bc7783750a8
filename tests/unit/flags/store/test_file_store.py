"""Flags in a file that others edit, replace, spoil and take away."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from flags.decide.flag import Flag, Flags
from flags.errors import StaleRevision, StoreUnreadable, StoreUnwritable
from flags.store.file_store import file_flag_store
from flags.store.flags_file import FlagsFile
from flags.store.ledger_store import POLL_SECONDS, LedgerStore
from tests.support.flags import NOW, NOW_MS, Told, edit, make_flag, open_store, stored, write_flags

LIVE = {"orders": {"stage": "live", "percentage": 5}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.json"


async def change(store: LedgerStore, expected: int | None = None, **fields: Any) -> Flag:
    return await store.change("orders", fields, expected_revision=expected, who="ann", reason="test")


def content(path: Path) -> bytes:
    return path.read_bytes()


def overwrite(path: Path, new: bytes) -> None:
    path.write_bytes(new)


def turn(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


async def look_twice(store: LedgerStore) -> None:
    """A file that can't be used is refused at the second look."""
    await store.refresh()
    await store.refresh()


def orders(store: LedgerStore) -> Flag:
    flag = store.snapshot().get("orders")
    assert flag is not None
    return flag


async def test_flags_are_there_again_after_a_restart(path: Path) -> None:
    async with open_store(path) as store:
        await change(store, 0, stage="live", percentage=5)
        await change(store, percentage=25)
        await store.kill_all(True, who="ann", reason="test")
        before, history = store.snapshot(), store.revisions("orders")

    async with open_store(path) as store:
        assert store.snapshot() == before
        assert store.revisions("orders") == history


async def test_where_there_is_no_file_the_first_change_makes_one(path: Path) -> None:
    told = Told()
    async with open_store(path, told) as store:
        assert store.snapshot() == Flags()
        assert os.listdir(path.parent) == []
        await change(store, 0)

    assert stored(path).flags == {"orders": make_flag()}
    assert told.events == ["flags_file_absent", "flag_changed"]


async def test_a_deployed_file_gets_its_first_revisions_at_the_start(path: Path) -> None:
    write_flags(path, LIVE)

    async with open_store(path) as store:
        assert orders(store) == make_flag(stage="live", percentage=5)
        (entry,) = store.revisions("orders").entries

    assert (entry.who, entry.when, entry.before) == ("file", NOW, None)
    assert stored(path).revisions("orders").entries == (entry,)


async def test_an_edit_by_hand_becomes_a_revision_and_subscribers_hear_of_it(path: Path) -> None:
    told = Told()
    async with open_store(path, told) as store:
        await change(store, 0, stage="live", percentage=5)
        heard: list[tuple[Flags, Flags]] = []
        store.subscribe(lambda before, after: heard.append((before, after)))
        edit(path, '"percentage": 5', '"percentage": 9')

        await store.refresh()

        after = make_flag(stage="live", percentage=9, revision=2)
        assert [flags.get("orders") for _, flags in heard] == [after]
        assert store.revisions("orders").entries[-1].who == "file"
        assert stored(path).revisions("orders") == store.revisions("orders")
    assert told.events == ["flags_file_absent", "flag_changed", "flag_edited_in_file"]


async def test_the_watcher_finds_an_edit_by_itself(path: Path) -> None:
    store = file_flag_store(path, tell=Told(), poll_seconds=0.001)
    await store.start()
    try:
        changed = asyncio.Event()
        store.subscribe(lambda before, after: changed.set())
        write_flags(path, LIVE)
        await asyncio.wait_for(changed.wait(), 60)
    finally:
        await store.close()

    assert orders(store).percentage == 5


async def test_the_watcher_goes_on_after_an_error_that_nobody_expected(path: Path) -> None:
    told, changed = Told(), asyncio.Event()
    errors = [ValueError("no time"), ValueError("no time yet")]

    def now_ms() -> int:
        if errors:
            raise errors.pop()
        return NOW_MS

    store = file_flag_store(path, tell=told, now_ms=now_ms, poll_seconds=0.001)
    await store.start()
    try:
        store.subscribe(lambda before, after: changed.set())
        write_flags(path, LIVE)
        await asyncio.wait_for(changed.wait(), 60)
    finally:
        await store.close()

    assert [event for event in told.events if "watch" in event] == [
        "flags_watch_failed",
        "flags_watch_recovered",
    ]


def test_the_watcher_looks_often_enough_for_an_edit_to_count_within_a_second() -> None:
    assert 2 * POLL_SECONDS < 1


async def test_looking_at_a_file_that_nobody_touched_writes_nothing(path: Path) -> None:
    async with open_store(path) as store:
        await change(store, 0)
        stamp = FlagsFile(path).stamp()
        await look_twice(store)
        await look_twice(store)

        assert FlagsFile(path).stamp() == stamp
        assert store.revisions("orders").last == 1


def edit_in_the_same_instant(path: Path, before: str, after: str) -> None:
    """An edit that leaves the length and the time of the file as they were."""
    found = path.stat()
    edit(path, before, after)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


async def test_an_edit_of_the_same_length_and_times_in_the_same_instant_is_found(path: Path) -> None:
    write_flags(path, LIVE)
    async with open_store(path) as store:
        await store.refresh()
        edit_in_the_same_instant(path, '"percentage": 5', '"percentage": 9')
        await look_twice(store)

        assert orders(store).percentage == 9


async def test_a_file_whose_clock_went_back_is_found(path: Path) -> None:
    write_flags(path, LIVE)
    async with open_store(path) as store:
        write_flags(path, {"orders": {"stage": "off"}})
        os.utime(path, (0, 0))
        await store.refresh()

        assert orders(store).stage == "off"


async def test_revisions_are_in_order_whatever_the_clock_does(path: Path) -> None:
    clock = [NOW_MS]
    async with open_store(path, now_ms=lambda: clock[-1]) as store:
        await change(store, 0)
        for ratio, now_ms in enumerate((NOW_MS - 10**11, NOW_MS + 10**12, 0, -1), 1):
            clock.append(now_ms)
            await change(store, ratio, checkRatio=ratio)
        entries = store.revisions("orders").entries

    assert [entry.revision for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.when for entry in entries][3:] == ["1970-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z"]
    assert stored(path).revisions("orders").entries == entries


def truncated(path: Path) -> None:
    path.write_bytes(content(path)[:-30])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def of_a_newer_version(path: Path) -> None:
    edit(path, '"version": 1', '"version": 3')


def with_an_unknown_stage(path: Path) -> None:
    edit(path, '"live"', '"beta"')


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_loop_of_links(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def gone(path: Path) -> None:
    path.unlink()


def remove(path: Path) -> None:
    """Makes room for a file, whatever is there."""
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


SPOILT = [truncated, emptied, of_a_newer_version, with_an_unknown_stage, a_directory, a_pipe, a_loop_of_links]


@pytest.mark.parametrize("spoil", [*SPOILT, gone])
async def test_a_file_that_can_not_be_used_is_refused_once_and_the_last_flags_stay(
    path: Path, spoil: Any
) -> None:
    told = Told()
    write_flags(path, LIVE)
    async with open_store(path, told) as store:
        await store.refresh()
        before = store.snapshot()
        spoil(path)
        await look_twice(store)
        await look_twice(store)

        assert store.snapshot() == Flags(before.by_component, stale=True)
        assert told.events == ["flag_edited_in_file", "flags_file_failed"]
        assert told.lines[-1][1]["error"]
        assert store.counts["flags_file_failed"] == 1


@pytest.mark.parametrize("spoil", [*SPOILT, gone])
async def test_a_file_that_can_be_used_again_counts_again(path: Path, spoil: Any) -> None:
    told = Told()
    write_flags(path, LIVE)
    async with open_store(path, told) as store:
        spoil(path)
        await look_twice(store)
        remove(path)
        write_flags(path, {"orders": {"stage": "live", "percentage": 9}})
        await store.refresh()

        assert store.snapshot() == Flags({"orders": make_flag(stage="live", percentage=9, revision=2)})
        assert "flags_file_recovered" in told.events


async def test_a_damaged_file_where_there_never_was_another_is_no_matter_once_it_is_gone(path: Path) -> None:
    async with open_store(path) as store:
        overwrite(path, b"{")
        await look_twice(store)
        assert store.snapshot() == Flags(stale=True)
        remove(path)
        await store.refresh()

        assert store.snapshot() == Flags()


async def test_a_file_that_is_half_written_at_one_look_is_not_complained_about(path: Path) -> None:
    told = Told()
    write_flags(path, LIVE)
    async with open_store(path, told) as store:
        edit(path, '"percentage": 5', '"percentage": 9')
        whole = content(path)
        overwrite(path, whole[:100])
        await store.refresh()
        overwrite(path, whole)
        await store.refresh()

        assert orders(store).percentage == 9
    assert "flags_file_failed" not in told.events


@pytest.mark.parametrize("spoil", SPOILT)
async def test_a_file_that_can_not_be_used_at_the_start_stops_it(path: Path, spoil: Any) -> None:
    write_flags(path, LIVE)
    async with open_store(path):
        pass
    spoil(path)
    store = file_flag_store(path, tell=Told())

    with pytest.raises(StoreUnreadable, match="The flags file can't be used: ") as caught:
        await store.start()

    assert str(path) not in caught.value.detail


@pytest.mark.parametrize("spoil", [truncated, emptied, with_an_unknown_stage])
async def test_everything_can_be_killed_while_the_file_is_damaged(path: Path, spoil: Any) -> None:
    told = Told()
    write_flags(path, LIVE)
    async with open_store(path, told) as store:
        spoil(path)
        damaged = content(path)
        await look_twice(store)
        await store.kill_all(True, who="ann", reason="fire")

        assert store.snapshot().kill_all
        assert not store.snapshot().stale
        assert orders(store).percentage == 5
        assert content(path.with_name("flags.json.refused")) == damaged
    assert stored(path).kill_all
    assert told.events[-3:] == ["flags_file_kept_aside", "flags_file_recovered", "flag_changed"]


@pytest.mark.parametrize("spoil", [of_a_newer_version, a_directory, a_pipe, a_loop_of_links])
async def test_what_is_no_damaged_file_of_ours_is_never_replaced(path: Path, spoil: Any) -> None:
    write_flags(path, LIVE)
    async with open_store(path) as store:
        spoil(path)
        before, stamp = store.snapshot(), FlagsFile(path).stamp()

        with pytest.raises(StoreUnwritable) as caught:
            await change(store, percentage=25)

        assert store.snapshot() == before
        assert FlagsFile(path).stamp() == stamp
        assert str(path) not in caught.value.detail


async def test_a_change_that_can_not_be_written_leaves_everything_as_it_was(path: Path) -> None:
    async with open_store(path) as store:
        await change(store, 0, stage="live")
        before, held = store.snapshot(), content(path)
        path.with_name("flags.json.new").mkdir()

        with pytest.raises(StoreUnwritable):
            await change(store, percentage=25)
        await look_twice(store)

        assert store.snapshot() == before
        assert content(path) == held
        path.with_name("flags.json.new").rmdir()
        assert (await change(store, percentage=25)).revision == 2


async def test_an_edit_counts_where_its_revision_can_not_be_written(path: Path) -> None:
    told = Told()
    async with open_store(path, told) as store:
        await change(store, 0, stage="live", percentage=5)
        path.with_name("flags.json.new").mkdir()
        write_flags(path, {"orders": {"stage": "live", "percentage": 9}})
        await look_twice(store)
        await look_twice(store)

        assert orders(store) == make_flag(stage="live", percentage=9, revision=2)
        assert store.revisions("orders").last == 2
    assert told.events.count("flags_file_unwritable") == 1


async def test_an_edit_waits_for_its_revision_until_the_lock_is_free(path: Path) -> None:
    async with open_store(path) as store:
        await change(store, 0, stage="live", percentage=5)
        with FlagsFile(path).locked(0):
            write_flags(path, {"orders": {"stage": "live", "percentage": 9}})
            await look_twice(store)
            assert orders(store).revision == 2
            assert stored(path).histories == {}
        await store.refresh()

        assert stored(path).revisions("orders") == store.revisions("orders")


async def test_a_change_is_made_of_what_the_file_says_now(path: Path) -> None:
    async with open_store(path) as one, open_store(path) as other:
        await change(one, 0, stage="live", percentage=5)
        flag = await change(other, 1, percentage=25)
        with pytest.raises(StaleRevision) as caught:
            await change(one, 1, percentage=50)

        assert [entry["after"] for entry in caught.value.since] == [{"percentage": 25}]
        assert orders(one) == flag
        await look_twice(one)
        await look_twice(other)
        assert one.snapshot() == other.snapshot()


async def test_two_stores_that_see_one_edit_agree_on_one_revision(path: Path) -> None:
    async with open_store(path) as one, open_store(path) as other:
        await change(one, 0, stage="live", percentage=5)
        await other.refresh()
        write_flags(path, {"orders": {"stage": "live", "percentage": 9}})
        for _ in range(3):
            await asyncio.gather(one.refresh(), other.refresh())

        assert one.revisions("orders").last == 2
        assert one.revisions("orders") == other.revisions("orders")
        assert one.snapshot() == other.snapshot()


async def test_stores_whose_histories_parted_come_together_again(path: Path) -> None:
    async with open_store(path) as one, open_store(path) as other:
        await change(one, 0, stage="live", percentage=5)
        await other.refresh()
        await change(one, percentage=25)
        write_flags(path, {"orders": {"stage": "live", "percentage": 9}})
        await other.refresh()
        for _ in range(3):
            await one.refresh()
            await other.refresh()

        assert orders(one) == orders(other)
        assert orders(one).percentage == 9
        assert one.revisions("orders") == other.revisions("orders")
        held = content(path)
        await look_twice(one)
        await look_twice(other)
        assert content(path) == held


async def test_an_edit_that_skips_stages_counts_and_is_told(path: Path) -> None:
    told = Told()
    write_flags(path, {"orders": {"stage": "off"}})
    async with open_store(path, told) as store:
        write_flags(path, {"orders": {"stage": "rampdown"}})
        await store.refresh()

        assert orders(store).stage == "rampdown"
    event, fields = told.lines[-1]
    assert (event, fields["before"], fields["stage"]) == ("flag_move_skips_stages", "off", "rampdown")


async def test_a_flag_that_is_gone_from_the_file_is_gone_and_told(path: Path) -> None:
    told = Told()
    write_flags(path, LIVE)
    async with open_store(path, told) as store:
        write_flags(path, {})
        await store.refresh()

        assert store.snapshot().get("orders") is None
        assert store.revisions("orders").entries[-1].after is None
    assert told.events[-1] == "flag_removed"


async def test_a_subscriber_that_fails_keeps_nobody_else_from_hearing(path: Path) -> None:
    told, heard = Told(), []

    def fail(before: Flags, after: Flags) -> None:
        raise RuntimeError("no")

    async with open_store(path, told) as store:
        store.subscribe(fail)
        store.subscribe(lambda before, after: heard.append(after))
        await change(store, 0)

        assert heard == [store.snapshot()]
        assert store.counts["flags_subscriber_failed"] == 1


async def test_a_change_whose_asker_went_away_is_whole_and_shown(path: Path) -> None:
    async with open_store(path) as store:
        await change(store, 0, stage="live")
        asking = asyncio.create_task(change(store, percentage=25))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await store.refresh()

        assert stored(path).flags["orders"] == orders(store)


async def test_a_closed_store_changes_nothing(path: Path) -> None:
    async with open_store(path) as store:
        pass

    with pytest.raises(StoreUnwritable, match="closed"):
        await change(store, 0)


async def test_a_link_that_was_turned_to_somebody_elses_file_leaves_that_alone(path: Path) -> None:
    flags, foreign = path.with_name("real.json"), path.with_name("passwords")
    write_flags(flags, LIVE)
    foreign.write_bytes(b"not yours\n")
    turn(path, flags)
    async with open_store(path) as store:
        turn(path, foreign)

        with pytest.raises(StoreUnwritable, match="symbolic link to a file that holds no flags"):
            await change(store, killed=True)
        with pytest.raises(StoreUnwritable):
            await store.kill_all(True, who="ann", reason="fire")

    assert content(foreign) == b"not yours\n"
    assert not foreign.with_name("passwords.refused").exists()


async def test_a_link_to_somebody_elses_file_where_there_were_no_flags_leaves_it_alone(path: Path) -> None:
    foreign = path.with_name("passwords")
    async with open_store(path) as store:
        foreign.write_bytes(b"{}")
        turn(path, foreign)
        with pytest.raises(StoreUnwritable):
            await change(store, 0, stage="live")
    assert content(foreign) == b"{}"


async def test_a_linked_flags_file_that_was_damaged_is_replaced(path: Path) -> None:
    flags = path.with_name("real.json")
    write_flags(flags, LIVE)
    turn(path, flags)
    async with open_store(path) as store:
        overwrite(flags, b"{")
        await change(store, killed=True)

    assert stored(flags).flags["orders"].killed
    assert content(flags.with_name("real.json.refused")) == b"{"
