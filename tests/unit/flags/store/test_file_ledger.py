"""A change is made of what the file says, also where somebody edits it in that very moment."""

import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import orjson
import pytest

from flags.errors import StoreUncertain, StoreUnwritable
from flags.store import document
from flags.store.file_ledger import ATTEMPTS, FileLedger
from flags.store.flags_file import FlagsFile
from flags.store.ledger import Ledger, changed, reconciled, state, switched
from flags.store.retention import KEPT_REVISIONS
from flags.store.revisions import attribution
from tests.support.flags import NOW, NOW_MS, Told, make_flag, many_changes, stored, write_flags

ANN = attribution("ann", "because", NOW)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.json"


@pytest.fixture
def ledger(path: Path) -> FileLedger:
    write_flags(path, {"orders": {"stage": "live"}})
    ledger = FileLedger(path, tell=Told(), now_ms=lambda: NOW_MS)
    ledger.load()
    return ledger


def while_editing(edit: Callable[[], None]) -> Callable[[Ledger], Ledger]:
    """A change during which somebody edits the file."""

    def change(ledger: Ledger) -> Ledger:
        edit()
        return changed(ledger, "orders", {"checkRatio": 7}, expected_revision=None, whole=False, by=ANN)

    return change


def test_an_edit_that_comes_between_reading_and_writing_is_kept(path: Path, ledger: FileLedger) -> None:
    edits = [5]

    def edit() -> None:
        while edits:
            write_flags(path, {"orders": {"stage": "live", "percentage": edits.pop()}})

    after = ledger.commit(while_editing(edit))

    assert after.flags["orders"] == make_flag(stage="live", percentage=5, checkRatio=7, revision=3)
    assert [entry.who for entry in after.revisions("orders").entries] == ["file", "file", "ann"]
    assert stored(path) == after


def test_a_file_that_keeps_changing_is_given_up_on(path: Path, ledger: FileLedger) -> None:
    percentages = iter(range(1, 100))

    def edit() -> None:
        write_flags(path, {"orders": {"stage": "live", "percentage": next(percentages)}})

    with pytest.raises(StoreUnwritable, match="keeps changing"):
        ledger.commit(while_editing(edit))

    assert next(percentages) == ATTEMPTS + 1
    assert stored(path).flags["orders"].check_ratio == 100


def test_a_damage_that_comes_between_reading_and_writing_is_kept_aside(
    path: Path, ledger: FileLedger
) -> None:
    damages = [b"{"]

    def damage() -> None:
        while damages:
            path.write_bytes(damages.pop())

    ledger.commit(while_editing(damage))

    assert stored(path).flags["orders"].check_ratio == 7
    assert path.with_name("flags.json.refused").read_bytes() == b"{"


def test_a_change_that_the_disk_does_not_confirm_is_in_force_and_said_to_be_uncertain(path: Path) -> None:
    syncs: list[int] = []
    working = [True]

    def fsync(descriptor: int) -> None:
        syncs.append(descriptor)
        if not working[0] and stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "broken")

    told = Told()
    file = FlagsFile(path, fsync=fsync)
    ledger = FileLedger(path, tell=told, now_ms=lambda: NOW_MS, file=file)
    ledger.load()
    ledger.commit(killing)

    working[0] = False
    with pytest.raises(StoreUncertain, match="changed, but the disk did not confirm it"):
        ledger.commit(reviving)
    assert not ledger.state.flags().kill_all
    assert not stored(path).kill_all
    with pytest.raises(StoreUncertain):
        ledger.commit(reviving)

    working[0] = True
    before = len(syncs)
    assert not ledger.commit(reviving).kill_all
    assert len(syncs) == before + 1
    ledger.commit(reviving)
    assert len(syncs) == before + 1
    assert ledger.state.ledger.kill_all_history.last == 2


def killing(ledger: Ledger) -> Ledger:
    return switched(ledger, True, by=ANN)


def reviving(ledger: Ledger) -> Ledger:
    return switched(ledger, False, by=ANN)


def test_an_edit_counts_where_the_disk_does_not_confirm_its_revision(path: Path) -> None:
    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "broken")

    told = Told()
    write_flags(path, {"orders": {"stage": "live"}})
    ledger = FileLedger(path, tell=told, now_ms=lambda: NOW_MS, file=FlagsFile(path, fsync=fsync))

    ledger.load()

    assert stored(path).revisions("orders").last == 1
    assert told.events == ["flag_edited_in_file", "flags_file_unwritable"]


def test_a_file_with_every_revision_there_ever_was_shrinks_when_it_is_read(path: Path) -> None:
    path.write_bytes(orjson.dumps(many_changes(10_000)))
    ledger = FileLedger(path, tell=Told(), now_ms=lambda: NOW_MS)
    ledger.load()
    ledger.refresh()

    assert path.stat().st_size < 100_000
    held = stored(path).revisions("orders")
    assert (held.dropped, held.last) == (10_000 - KEPT_REVISIONS, 10_000)
    assert held.state == state(ledger.state.ledger.flags["orders"])

    assert ledger.commit(killing).kill_all
    assert path.stat().st_size < 100_000


def test_a_change_reads_no_more_of_the_history_than_is_kept_however_many_there_were(path: Path) -> None:
    ledger = FileLedger(path, tell=Told(), now_ms=lambda: NOW_MS)
    ledger.load()
    sizes = []
    for number in range(KEPT_REVISIONS + 20):
        ledger.commit(killing if number % 2 == 0 else reviving)
        sizes.append(path.stat().st_size)

    assert len(stored(path).kill_all_history.entries) == KEPT_REVISIONS
    assert max(sizes[KEPT_REVISIONS:]) < 1.1 * sizes[KEPT_REVISIONS]


def test_what_this_program_wrote_is_neither_parsed_nor_reconciled_again(
    path: Path, ledger: FileLedger
) -> None:
    done: list[str] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code in (document.parse.__code__, reconciled.__code__):
            done.append(frame.f_code.co_name)

    ledger.refresh()
    sys.setprofile(note)
    try:
        for _ in range(3):
            ledger.commit(killing)
            ledger.commit(reviving)
            ledger.refresh()
    finally:
        sys.setprofile(None)
    assert done == []
