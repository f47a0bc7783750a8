"""A change is made of what the file says, also where somebody edits it in that very moment."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flags.errors import StoreUnwritable
from flags.file_ledger import ATTEMPTS, FileLedger
from flags.ledger import Ledger, changed
from flags.revisions import attribution
from tests.support.flags import NOW, NOW_MS, Told, make_flag, stored, write_flags

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
    assert [entry.who for entry in after.revisions("orders")] == ["file", "file", "ann"]
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
