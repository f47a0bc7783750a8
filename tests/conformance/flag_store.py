"""What every FlagStore promises (flags/store/port.py). A store's own test module inherits these tests.

The module has a fixture `store`: a started store without flags.
"""

import asyncio
from typing import Any

import pytest

from flags.decide.flag import Flag, Flags
from flags.errors import ForbiddenMove, InvalidFlag, NotFound, StaleRevision
from flags.store.port import FlagStore, kill
from flags.store.retention import KEPT_REVISIONS
from tests.support.flags import LATCH, make_flag


async def make(store: FlagStore, component: str = "orders", **fields: Any) -> Flag:
    """A new flag."""
    return await store.change(component, fields, expected_revision=0, who="ann", reason="start")


async def change(store: FlagStore, expected: int | None = None, **fields: Any) -> Flag:
    return await store.change("orders", fields, expected_revision=expected, who="bob", reason="go on")


class FlagStoreConformance:
    """The promises, one test each."""

    async def test_a_new_store_has_no_flags(self, store: FlagStore) -> None:
        assert store.snapshot() == Flags()
        assert store.revisions(None).entries == ()
        with pytest.raises(NotFound):
            store.revisions("orders")

    async def test_a_change_is_in_the_snapshot_when_it_is_given_back(self, store: FlagStore) -> None:
        assert await make(store, stage="shadow") == make_flag(stage="shadow")
        changed = await change(store, expected=1, stage="live", percentage=5)

        assert changed == make_flag(stage="live", percentage=5, revision=2)
        assert store.snapshot().get("orders") == changed

    async def test_the_newest_revisions_are_held_and_numbers_go_on(self, store: FlagStore) -> None:
        await make(store, stage="live", percentage=5)
        for ratio in range(1, KEPT_REVISIONS + 5):
            flag = await change(store, checkRatio=ratio)

        history = store.revisions("orders")
        assert (flag.revision, history.last) == (KEPT_REVISIONS + 5, KEPT_REVISIONS + 5)
        assert [entry.revision for entry in history.entries] == list(range(6, KEPT_REVISIONS + 6))
        with pytest.raises(NotFound, match="not known any more"):
            await store.rollback("orders", to_revision=4, who="ann", reason="x")
        assert (await store.rollback("orders", to_revision=5, who="ann", reason="x")).check_ratio == 4

    async def test_every_revision_is_kept_with_who_and_why(self, store: FlagStore) -> None:
        await make(store, stage="live")
        await change(store, percentage=5)

        trail = [(entry.revision, entry.who, entry.why) for entry in store.revisions("orders").entries]
        assert trail == [(1, "ann", "start"), (2, "bob", "go on")]
        assert store.revisions("orders").entries[1].before == {"percentage": 0}
        assert store.revisions("orders").entries[1].after == {"percentage": 5}

    async def test_a_change_that_is_refused_changes_nothing(self, store: FlagStore) -> None:
        await make(store, stage="live")
        before = store.snapshot()

        with pytest.raises(StaleRevision):
            await change(store, expected=3, percentage=5)
        with pytest.raises(InvalidFlag):
            await change(store, percentage=101)
        with pytest.raises(ForbiddenMove):
            await change(store, stage="complete")
        with pytest.raises(InvalidFlag):
            await store.change("orders", {"percentage": 5}, expected_revision=None, who="", reason="x")
        with pytest.raises(InvalidFlag):
            await store.kill_all(True, who="ann", reason="")
        with pytest.raises(NotFound):
            await store.rollback("invoices", who="ann", reason="x")

        assert store.snapshot() == before
        assert store.revisions("orders").last == 1

    async def test_of_two_administrators_at_once_one_is_stale_and_learns_what_changed(
        self, store: FlagStore
    ) -> None:
        await make(store, stage="live")

        outcomes = await asyncio.gather(
            *(change(store, expected=1, percentage=percentage) for percentage in (5, 10)),
            return_exceptions=True,
        )

        (stale,) = (outcome for outcome in outcomes if isinstance(outcome, StaleRevision))
        (flag,) = (outcome for outcome in outcomes if isinstance(outcome, Flag))
        assert store.snapshot().get("orders") == flag
        assert [entry["after"] for entry in stale.since] == [{"percentage": flag.percentage}]

    async def test_many_changes_at_once_are_all_made(self, store: FlagStore) -> None:
        await make(store)

        flags = await asyncio.gather(*(change(store, checkRatio=ratio) for ratio in range(1, 21)))

        assert sorted(flag.revision for flag in flags) == list(range(2, 22))
        assert store.revisions("orders").last == 21

    async def test_a_rollback_takes_back_the_last_move(self, store: FlagStore) -> None:
        await make(store, stage="live", percentage=5)
        await change(store, percentage=50)
        await change(store, checkRatio=7)

        flag = await store.rollback("orders", who="ann", reason="errors")

        assert flag == make_flag(stage="live", percentage=5, revision=4)
        assert store.revisions("orders").entries[-1].restores == 1

    async def test_a_flag_is_removed_and_its_numbers_go_on(self, store: FlagStore) -> None:
        await make(store, stage="live", percentage=5)
        with pytest.raises(StaleRevision):
            await store.remove("orders", expected_revision=2, who="ann", reason="done")

        assert await store.remove("orders", expected_revision=1, who="ann", reason="done") == 2

        assert store.snapshot() == Flags()
        assert store.revisions("orders").entries[-1].summary() == "Revision 2 by ann removed it."
        with pytest.raises(NotFound):
            await store.remove("orders", who="ann", reason="again")
        assert (await make(store)).revision == 3

    async def test_a_flag_that_is_killed_or_latched_is_not_removed(self, store: FlagStore) -> None:
        await make(store, stage="live", killed=True, latch=LATCH)

        with pytest.raises(InvalidFlag) as refused:
            await store.remove("orders", who="ann", reason="done")

        assert [error["pointer"] for error in refused.value.errors] == ["/killed", "/latch"]

    async def test_a_component_is_killed_and_let_go_on(self, store: FlagStore) -> None:
        await make(store, stage="live")

        assert (await kill(store, "orders", who="ann", reason="fire")).killed
        assert (await kill(store, "orders", who="bob", reason="fire!")).revision == 2
        assert not (await change(store, killed=False)).killed

    async def test_a_latch_holds_until_it_is_rearmed(self, store: FlagStore) -> None:
        await make(store, stage="live")
        await change(store, latch=LATCH)
        await change(store, percentage=5)

        flag = store.snapshot().get("orders")
        assert flag is not None
        assert flag.latch is not None
        assert (await change(store, latch=None)).latch is None

    async def test_everything_is_killed_at_once(self, store: FlagStore) -> None:
        await store.kill_all(True, who="ann", reason="fire")

        assert store.snapshot().kill_all
        assert [(entry.who, entry.after) for entry in store.revisions(None).entries] == [
            ("ann", {"killAll": True})
        ]

    async def test_subscribers_hear_of_every_change_of_the_snapshot(self, store: FlagStore) -> None:
        heard: list[tuple[Flags, Flags]] = []
        store.subscribe(lambda before, after: heard.append((before, after)))
        await make(store)
        await store.kill_all(True, who="ann", reason="fire")

        flag = make_flag()
        assert heard == [
            (Flags(), Flags({"orders": flag})),
            (Flags({"orders": flag}), Flags({"orders": flag}, kill_all=True)),
        ]

    async def test_closing_twice_does_nothing(self, store: FlagStore) -> None:
        await store.close()
        await store.close()
