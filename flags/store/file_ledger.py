"""The ledger that lies in a file: changed by this program, by others, and by hand. Blocking, one thread."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from flags.decide.flag import Flag
from flags.decide.stages import MOVES
from flags.errors import StoreUncertain, StoreUnreadable, StoreUnwritable
from flags.log_lines import Tell
from flags.store import document
from flags.store.flags_file import FileChanged, FileStamp, FlagsFile, LockTaken, NotSynced
from flags.store.ledger import Ledger, reconciled
from flags.store.ledger_store import LedgerState
from flags.store.revision_lines import tell_changes
from flags.store.revisions import attribution
from flags.times import rfc3339

FILE = "file"
"""Who made a change that was found in the file."""

LOCK_PATIENCE_SECONDS = 5.0
ATTEMPTS = 5
"""How often a change is made anew because somebody edited the file while it was being made."""

_UNSEEN = FileStamp(error=-1)


class _Found(NamedTuple):
    """What a change starts from: the ledger, the file's stamp, and its content where that is damaged."""

    ledger: Ledger
    stamp: FileStamp | None
    damaged: bytes | None = None


class FileLedger:
    """Keeps `state` and the file at `path` the same. `state` may be read by any thread."""

    def __init__(
        self, path: Path, *, tell: Tell, now_ms: Callable[[], int], file: FlagsFile | None = None
    ) -> None:
        self.state = LedgerState()
        self._path = path
        self._file = file or FlagsFile(path)
        self._tell = tell
        self._outage = tell.outage("flags_file")
        self._now_ms = now_ms
        self._seen: FileStamp | None = _UNSEEN
        self._certain = False
        self._complaint: str | None = None
        self._is_synced = True
        self._known_target: Path | None = None
        """Where the symbolic link led when there were flags last."""
        self._read: tuple[bytes, Ledger] | None = None
        """The content that was read or written last, and what it says."""

    def load(self) -> None:
        """Reads the file for the first time; where there is none, there are no flags.

        Raises StoreUnreadable where it can't be used, for there are no last good flags to go on with.
        """
        self._seen = self._file.stamp()
        found = self._file.read()
        if found is None:
            # The normal state of a gateway that migrates nothing.
            self._tell(logging.DEBUG, "flags_file_absent", path=self._path)
        else:
            self._take(self._parsed(found[0]), found[1])

    def refresh(self) -> None:
        """Takes over what changed in the file since the last look.

        A file that can't be used is refused when it was found so twice: some editors write in two steps.
        """
        stamp = self._file.stamp()
        certain = stamp == self._seen
        if certain and self._certain:
            if self.state.refusal is not None:
                self._refuse(self.state.refusal)
            return
        self._seen, self._certain = stamp, False
        try:
            found = self._file.read()
            if found is None and self.state.ledger != Ledger():
                raise StoreUnreadable("it is gone")
            written = None if found is None else self._parsed(found[0])
        except StoreUnreadable as error:
            if certain:
                self._refuse(error.detail)
            self._certain = certain
            return
        if found is None or written is None:
            self._adopt(self.state.ledger)
            self._certain = certain
        else:
            self._certain = self._take(written, found[1]) and certain

    def commit(self, change: Callable[[Ledger], Ledger]) -> Ledger:
        """See KeptLedger.commit; an edit of the file may have been taken over where the change was refused.

        StoreUncertain says that it lies in the file, but not durably. A damaged file is kept aside. What a
        symbolic link leads to that never held flags is not replaced: it is somebody else's.
        """
        with self._file.locked(LOCK_PATIENCE_SECONDS):
            for _ in range(ATTEMPTS):
                found = self._current()
                after = change(found.ledger)
                if after is found.ledger:
                    self._confirm()
                    return after
                if found.damaged is not None:
                    self._keep_aside(found.damaged)
                try:
                    self._write(after, found.stamp)
                except FileChanged:
                    continue
                tell_changes(self._tell, found.ledger, after)
                return after
        raise StoreUnwritable("The flags could not be written: something else keeps changing the file.")

    def _current(self) -> _Found:
        # Whatever comes of the change, the next look is to read the file.
        self._certain = False
        found = None
        try:
            found = self._file.read()
            written = None if found is None else self._parsed(found[0])
        except StoreUnreadable as error:
            if found is None or not error.replaceable:
                raise StoreUnwritable(f"The flags file can't be replaced: {error.detail}.") from error
            if self._file.link_target() != self._known_target:
                raise StoreUnwritable(
                    "The flags file is a symbolic link to a file that holds no flags, and never did: it is "
                    f"not replaced ({error.detail}). Turn the link to the flags."
                ) from error
            return _Found(self.state.ledger, found[1], damaged=found[0])
        if found is None or written is None:
            return _Found(self.state.ledger, None)
        return _Found(self._reconcile(written), found[1])

    def _reconcile(self, written: Ledger) -> Ledger:
        ledger = self.state.ledger
        if written != ledger:
            by = attribution(FILE, "found in the flags file", rfc3339(self._now_ms()))
            ledger = reconciled(ledger, written, by=by)
        self._adopt(ledger)
        return ledger

    def _take(self, written: Ledger, stamp: FileStamp) -> bool:
        """Takes over what was read, and writes it back where it lacks what is known of its history.

        False where the file has to be looked at once more.
        """
        ledger = self._reconcile(written)
        if ledger == written:
            return True
        try:
            with self._file.locked(0):
                self._write(ledger, stamp)
        except (FileChanged, LockTaken):
            return False
        except (StoreUnwritable, StoreUncertain) as error:
            self._complain(error.detail)
            return True
        return False

    def _write(self, ledger: Ledger, read: FileStamp | None) -> None:
        content = document.render(ledger)
        self._certain = False
        try:
            self._seen = self._file.write(content, read)
        except NotSynced as error:
            self._seen = _UNSEEN
            self._is_synced = False
            self._adopt(ledger)
            raise _uncertain(error) from error
        self._is_synced = True
        self._known_target = self._file.link_target()
        self._read = content, ledger
        self._complaint = None
        self._adopt(ledger)

    def _confirm(self) -> None:
        """Sees to it that what this program wrote last is on the disk."""
        if not self._is_synced:
            try:
                self._file.sync_directory()
            except NotSynced as error:
                raise _uncertain(error) from error
            self._is_synced = True

    def _parsed(self, content: bytes) -> Ledger:
        """What the content says, parsed but where it was read or written last. Raises StoreUnreadable."""
        if self._read is None or self._read[0] != content:
            self._read = content, document.parse(content)
        self._known_target = self._file.link_target()
        return self._read[1]

    def _adopt(self, ledger: Ledger) -> None:
        before, refusal = self.state
        self.state = LedgerState(ledger)
        if refusal is not None:
            self._outage.over(path=self._path)
        if ledger is before:
            return
        for component, flag in ledger.flags.items():
            self._report(before.flags.get(component), flag, ledger)
        for component in before.flags.keys() - ledger.flags.keys():
            self._tell(logging.WARNING, "flag_removed", component=component)

    def _report(self, before: Flag | None, flag: Flag, ledger: Ledger) -> None:
        if flag == before or ledger.histories[flag.component].entries[-1].who != FILE:
            return
        fields = {"component": flag.component, "revision": flag.revision, "stage": flag.stage}
        self._tell(logging.INFO, "flag_edited_in_file", **fields)
        if before is not None and flag.stage not in (before.stage, *MOVES[before.stage]):
            self._tell(logging.WARNING, "flag_move_skips_stages", **fields, before=before.stage)

    def _refuse(self, reason: str) -> None:
        self.state = LedgerState(self.state.ledger, reason)
        self._outage.failed(path=self._path, error=reason)

    def _complain(self, detail: str) -> None:
        if detail != self._complaint:
            self._complaint = detail
            self._tell(logging.WARNING, "flags_file_unwritable", path=self._path, reason=detail)

    def _keep_aside(self, content: bytes) -> None:
        kept = self._file.keep_aside(content)
        self._tell(logging.WARNING, "flags_file_kept_aside", path=kept)


def _uncertain(error: NotSynced) -> StoreUncertain:
    return StoreUncertain(
        f"The flags are changed, but the disk did not confirm it ({error}): after a loss of power they may "
        "be as they were before. Look after the disk, then make the change again."
    )
