"""What a change added to the histories, and its log line, which stays when the revision is dropped."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from flags.log_lines import Tell
from flags.store.ledger import Ledger
from flags.store.revisions import Revision, RevisionHistory

EVERYTHING = "*"
"""The component in the line of a change of the kill switch for everything."""


class Added(NamedTuple):
    """A revision, and the component whose it is; None of the kill switch for everything."""

    component: str | None
    entry: Revision

    def is_in(self, ledger: Ledger) -> bool | None:
        """Whether the ledger has this very revision; None where it would not hold it any more."""
        history = _of(ledger, self.component)
        if self.entry.revision <= history.dropped:
            return None
        return self.entry in history.since(self.entry.revision - 1)[:1]


def added(before: Ledger, after: Ledger) -> Sequence[Added]:
    """The newest revision of each history that one change made longer."""
    return [
        Added(component, _of(after, component).entries[-1])
        for component in (*after.histories, None)
        if _of(after, component).last > _of(before, component).last
    ]


def tell_changes(tell: Tell, before: Ledger, after: Ledger) -> None:
    """A line for each revision that one change made: who changed which members, and why."""
    for component, entry in added(before, after):
        tell(
            logging.INFO,
            "flag_changed",
            component=component or EVERYTHING,
            revision=entry.revision,
            who=entry.who,
            why=entry.why,
            changed=",".join(sorted(entry.after or ())),
            **_shown(entry),
        )


def _shown(entry: Revision) -> dict[str, object]:
    """The members that say in one word what callers get."""
    if entry.after is None:
        return {"removed": True}
    after = entry.after
    return {name: after[name] for name in ("stage", "percentage", "killed", "killAll") if name in after}


def _of(ledger: Ledger, component: str | None) -> RevisionHistory:
    if component is None:
        return ledger.kill_all_history
    return ledger.histories.get(component, RevisionHistory())
