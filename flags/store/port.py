"""Where flags are kept: what every store promises, whatever it keeps them in."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol

from flags.decide.flag import Flag, Flags
from flags.store.ledger import Ledger, changed, removed, rolled_back, switched
from flags.store.revisions import RevisionHistory

Subscriber = Callable[[Flags, Flags], None]
"""Called with the flags before and after a change, in the event loop. It must not wait."""


class Operation(NamedTuple):
    """What is to be done to the flag of `component`, or with None to the kill switch for everything.

    `apply(ledger, by=attribution)` gives the ledger after it. `effect` is what else has to know of it: that
    it takes a kill switch back, or removes the flag.
    """

    component: str | None
    apply: Callable[..., Ledger]
    effect: Literal["unkills", "removes"] | None = None


class FlagStore(Protocol):
    """Flags that can be read without waiting, and changed with a trail.

    A store derives from this class: it has all changes made by its own `make`.

    Every change takes `who` made it (1 to 256 characters) and the `reason` (1 to 1,000), both one line. It is
    a revision of its own, of which the newest are held (retention.py); a change that leaves all as it
    was is none. Changes are made one after the other, also those of other programs that use the same store. A
    change that was made by somebody else is in the snapshot within a second.

    Every change raises InvalidFlag where it breaks the rules, and StoreUnwritable where it could not be kept;
    nothing has changed then. StoreUncertain says that it may have been made. One that was given back is kept,
    whatever happens next. Whoever stops waiting for a change does not know whether it was made.
    """

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each event was told since the start, by the log lines' names."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the flags are `stale`, in a few words; None where they are not."""
        ...

    async def start(self) -> None:
        """Reads the flags. Raises StoreUnreadable where there is something that can't be used as flags."""
        ...

    async def close(self) -> None:
        """Ends what `start` began, after the changes that are being made. Closing twice does nothing."""
        ...

    def snapshot(self) -> Flags:
        """The flags as they are, at once."""
        ...

    async def make(self, operation: Operation, *, who: str, reason: str) -> Ledger:
        """Does that to what the store holds now, and gives the ledger once that is kept."""
        ...

    async def change(
        self,
        component: str,
        fields: Mapping[str, Any],
        *,
        expected_revision: int | None,
        who: str,
        reason: str,
        whole: bool = False,
    ) -> Flag:
        """Makes a flag, or changes one, and gives it back.

        `fields` is a JSON merge patch (RFC 7396) of the flag. With `whole` it is the whole flag: members that
        it leaves out get their default, but for `killed` and `latch`, which stay. `component` and `revision`
        may only be what they are. `expected_revision` is the one that the change is meant for: 0 makes a
        flag where there is none, in any stage; None changes the flag that is there, whichever revision it is.

        Raises StaleRevision where another revision is there, NotFound where there is no flag to change, and
        ForbiddenMove where no move leads from its stage to the new one.
        """
        change = partial(
            changed, component=component, fields=fields, expected_revision=expected_revision, whole=whole
        )
        effect: Literal["unkills"] | None = "unkills" if fields.get("killed") is False else None
        ledger = await self.make(Operation(component, change, effect), who=who, reason=reason)
        return ledger.flags[component]

    async def rollback(
        self,
        component: str,
        *,
        to_revision: int | None = None,
        expected_revision: int | None = None,
        who: str,
        reason: str,
    ) -> Flag:
        """Takes a flag back to what it was at an earlier revision, and gives it back as the new revision.

        By default to the revision before the last change of stage or percentage that still stands. `killed`
        and `latch` stay as they are: going back is no reason to send anybody to a stream. Raises as `change`
        does, and NotFound where there is nothing to go back to, or nobody knows it any more.
        """
        back = partial(
            rolled_back, component=component, to_revision=to_revision, expected_revision=expected_revision
        )
        ledger = await self.make(Operation(component, back), who=who, reason=reason)
        return ledger.flags[component]

    async def remove(
        self, component: str, *, expected_revision: int | None = None, who: str, reason: str
    ) -> int:
        """Removes a flag, and gives the number of the revision that did: the component streams freely then.

        Its history stays, and a flag that is made later goes on from its number. Raises as `change` does, and
        InvalidFlag while the flag is killed or latched: that is lifted by a change that says so, and not by
        the way.
        """
        removal = partial(removed, component=component, expected_revision=expected_revision)
        ledger = await self.make(Operation(component, removal, "removes"), who=who, reason=reason)
        return ledger.revisions(component).last

    async def kill_all(self, killed: bool, *, who: str, reason: str) -> None:
        """Turns the kill switch for everything on or off."""
        turn = partial(switched, killed=killed)
        await self.make(Operation(None, turn, None if killed else "unkills"), who=who, reason=reason)

    def revisions(self, component: str | None) -> RevisionHistory:
        """The component's history as far as it is held; with None, that of the kill switch for everything.

        Raises NotFound where the component never had a flag.
        """
        ...

    async def refresh(self) -> None:
        """Looks now whether others changed the flags; where that can't be seen they stay, and are `stale`."""
        ...

    def subscribe(self, subscriber: Subscriber) -> None:
        """Calls `subscriber` after every change of the snapshot, from now on."""
        ...


async def kill(store: FlagStore, component: str, *, who: str, reason: str) -> Flag:
    """Sends all callers of the component to polling, whatever else its flag says."""
    return await store.change(component, {"killed": True}, expected_revision=None, who=who, reason=reason)
