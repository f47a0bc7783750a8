"""Which revisions are kept: the document that holds them is read and written as a whole at every change.

Each flag keeps its newest `KEPT_REVISIONS`. The newest one always stays. Where the others of all histories
take more than `KEPT_BYTES` as JSON, the history that takes most drops its oldest, until they fit.
So a change costs the same after a hundred revisions as after a million. No I/O.
"""

from collections.abc import Sequence
from heapq import heapify, heapreplace

from flags.store.revisions import RevisionHistory

KEPT_REVISIONS = 100
KEPT_BYTES = 512 * 1024


def kept(
    histories: Sequence[RevisionHistory], most: int = KEPT_REVISIONS, most_bytes: int = KEPT_BYTES
) -> Sequence[RevisionHistory]:
    """Each history as it is to be kept; `histories` itself where that is all of them."""
    dropped = [max(0, len(history.entries) - most) for history in histories]
    sizes = [_sizes(history, count) for history, count in zip(histories, dropped, strict=True)]
    excess = sum(map(sum, sizes)) - most_bytes
    # The largest first, and of equals the first, so that all programs drop the same.
    largest = [(-sum(entries), at) for at, entries in enumerate(sizes)]
    heapify(largest)
    while excess > 0:
        size, at = largest[0]
        oldest = sizes[at].pop()
        dropped[at] += 1
        excess -= oldest
        heapreplace(largest, (size + oldest, at))
    if not any(dropped):
        return histories
    return [history.without(count) for history, count in zip(histories, dropped, strict=True)]


def _sizes(history: RevisionHistory, dropped: int) -> list[int]:
    """The bytes of each revision but the oldest `dropped` ones and the newest; the oldest comes last."""
    return [entry.size for entry in reversed(history.entries[dropped:-1])]
