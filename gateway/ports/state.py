"""Where the state of entities is known: the items that a stream begins with (docs/protocol.md, section 4)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol, runtime_checkable

from gateway.core.errors import TidegateError
from gateway.core.events import Cursor
from gateway.core.selectors import Selector


class StateUnknown(TidegateError):
    """The state is not known yet, or can't be read now: ask again."""

    status = 503
    slug = "state-unknown"
    title = "The state is not known yet"


class StateItem(NamedTuple):
    """One entity: its id, and its data as the JSON text of an object."""

    entity_id: str
    data: bytes


class StateReading(Protocol):
    """The state of some entity types at one moment.

    A stream from `cursor` misses nothing of what is not in the items; it may repeat what they show.
    `as_of_ms` (wall time) is when they were so. Two readings with the same `version` hold the same items;
    None where nobody can tell.
    """

    cursor: Cursor
    as_of_ms: int
    version: str | None

    def batches(self) -> AsyncIterator[tuple[str, Sequence[StateItem]]]:
        """The items in batches, each of one entity type; those of a type one after the other.

        Raises StateUnknown where it can't go on.
        """
        ...


class StateSource(Protocol):
    """What knows the state of some entity types."""

    def knows(self, entity_type: str, selector: Selector) -> bool:
        """Whether this can tell the state of what the selection asks for of a type."""
        ...

    def read(
        self, entity_types: Sequence[str], selector: Selector
    ) -> AbstractAsyncContextManager[StateReading]:
        """Reads the types, which it knows, in their order. It need not leave out what is not selected.

        Entering may wait for an answer. Raises StateUnknown where there is none, or none that is good enough.
        """
        ...


@runtime_checkable
class LogWithState(Protocol):
    """A log that knows the state of what its events are about; found by type, as `WatchedLog` is."""

    @property
    def state(self) -> StateSource:
        """Of use from the log's `start` to its `close`."""
        ...
