"""What every AuditStore promises (gateway/ports/audit.py), wherever it keeps the trail."""

from collections.abc import AsyncIterator

import pytest

from gateway.ports.audit import TRIM_BATCH, AuditEntry, AuditKind, AuditQuery, AuditStore, moment
from tests.conformance.audit_stores import (
    AUDIT_STORES,
    LASTING,
    MAX_AGE_SECONDS,
    MAX_ENTRIES,
    StoreFactory,
)
from tests.support.clock import ManualClock

NOW_MS = ManualClock().wall_ms()


def entry(
    number: int, kind: AuditKind = "publish", who: str = "ana", *, at_ms: int = NOW_MS, body: bytes = b"{}"
) -> AuditEntry:
    return AuditEntry(f"{moment(at_ms)}-{number:06d}", kind, who, body)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=AUDIT_STORES.values(), ids=AUDIT_STORES.keys())
async def store(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[AuditStore]:
    factory: StoreFactory = request.param
    async with factory(clock) as open_store:
        store = open_store()
        await store.start()
        yield store
        await store.close()


async def numbers(store: AuditStore, query: AuditQuery) -> list[int]:
    return [int(found.id.rpartition("-")[2]) for found in await store.read(query)]


async def test_what_was_appended_is_read_newest_first(store: AuditStore) -> None:
    entries = [entry(1), entry(2, "admin", "", body=b'{"a":1}'), entry(3, "auth", "key:x")]

    await store.append(entries)

    assert await store.read(AuditQuery(10)) == entries[::-1]


async def test_an_empty_trail_has_nothing(store: AuditStore) -> None:
    await store.append([])

    assert await store.read(AuditQuery(10)) == []


async def test_what_comes_late_stands_at_its_time(store: AuditStore) -> None:
    await store.append([entry(1), entry(3)])
    await store.append([entry(2), entry(4)])

    assert await numbers(store, AuditQuery(10)) == [4, 3, 2, 1]


async def test_what_is_sent_again_is_there_once(store: AuditStore) -> None:
    await store.append([entry(1), entry(2)])
    await store.append([entry(2), entry(3)])

    assert await numbers(store, AuditQuery(10)) == [3, 2, 1]


@pytest.mark.parametrize("who", ["ana", "", "key:a b", "50%_\\'\"(", "é漢😀"])
async def test_whose_entries_are_wanted_is_compared_exactly(store: AuditStore, who: str) -> None:
    await store.append([entry(1, who=who), entry(2, who=f"{who}x"), entry(3, "admin", who)])

    assert await numbers(store, AuditQuery(10, who=who)) == [3, 1]


async def test_a_body_is_any_json_object(store: AuditStore) -> None:
    body = '{"nul":"\\u0000","text":"é漢😀\\\\","number":1e300}'.encode()

    await store.append([entry(1, body=body)])

    assert [found.body for found in await store.read(AuditQuery(10))] == [body]


async def test_kinds_are_read_apart_and_together(store: AuditStore) -> None:
    await store.append([entry(1), entry(2, "admin"), entry(3, "auth"), entry(4, "admin")])

    assert await numbers(store, AuditQuery(10, kinds=["admin"])) == [4, 2]
    assert await numbers(store, AuditQuery(10, kinds=["admin", "publish"])) == [4, 2, 1]


async def test_a_time_bounds_what_is_read(store: AuditStore) -> None:
    await store.append([entry(number, at_ms=NOW_MS + number) for number in range(5)])

    query = AuditQuery(10, since=moment(NOW_MS + 1), before=moment(NOW_MS + 4))

    assert await numbers(store, query) == [3, 2, 1]


async def test_pages_leave_nothing_out_and_repeat_nothing(store: AuditStore) -> None:
    kinds: list[AuditKind] = ["publish", "admin", "auth"]
    await store.append([entry(number, kinds[number % 3], who="ab"[number % 2]) for number in range(1, 9)])

    pages = []
    query = AuditQuery(3, who="b")
    while page := await store.read(query):
        pages.append([int(found.id[-1]) for found in page])
        query = query._replace(before=page[-1].id)

    assert pages == [[7, 5, 3], [1]]


async def test_trimming_keeps_the_newest_of_each_kind(store: AuditStore) -> None:
    many = [entry(number) for number in range(2, 2 + TRIM_BATCH + 2 * MAX_ENTRIES)]
    await store.append([entry(1, "admin"), *many])

    await store.trim()

    left = [found.id for found in await store.read(AuditQuery(100))]
    assert left == [found.id for found in [*many[: -MAX_ENTRIES - 1 : -1], entry(1, "admin")]]


async def test_trimming_drops_what_is_too_old(store: AuditStore, clock: ManualClock) -> None:
    await store.append([entry(1), entry(2, "auth")])
    clock.advance(MAX_AGE_SECONDS)
    await store.append([entry(3, at_ms=clock.wall_ms())])
    await store.trim()
    assert await numbers(store, AuditQuery(10)) == [3, 2, 1]

    clock.advance(0.001)
    await store.trim()

    assert await numbers(store, AuditQuery(10)) == [3]


async def test_closing_twice_does_nothing(store: AuditStore) -> None:
    await store.close()
    await store.close()


@pytest.mark.parametrize("factory", LASTING.values(), ids=LASTING.keys())
async def test_a_restart_takes_nothing(factory: StoreFactory, clock: ManualClock) -> None:
    async with factory(clock) as open_store:
        before = open_store()
        await before.start()
        await before.append([entry(1), entry(2, "admin")])
        await before.close()

        after = open_store()
        await after.start()
        await after.append([entry(3)])
        found = await numbers(after, AuditQuery(10))
        await after.close()

    assert found == [3, 2, 1]


@pytest.mark.parametrize("name", ["postgres", "redis"])
async def test_nodes_have_one_trail(name: str, clock: ManualClock) -> None:
    async with AUDIT_STORES[name](clock) as open_store:
        one, other = open_store(), open_store()
        await one.start()
        await other.start()
        await one.append([entry(1), entry(3)])
        await other.append([entry(2), entry(4)])

        found = [await numbers(store, AuditQuery(10)) for store in (one, other)]

        await one.close()
        await other.close()
    assert found == [[4, 3, 2, 1], [4, 3, 2, 1]]
