"""What every SharedStore promises (gateway/ports/shared.py), whatever server it is in."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.ports.shared import SharedEntry, SharedStore
from tests.conformance.shared_stores import SHARED_STORES, Shared, SharedFactory

LARGE = bytes(range(256)) * 16_384
TTL_SECONDS = 0.05


@pytest.fixture(params=SHARED_STORES.values(), ids=SHARED_STORES.keys())
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[Shared]:
    factory: SharedFactory = request.param
    async with factory() as shared:
        yield shared


@pytest.fixture
def store(shared: Shared) -> SharedStore:
    return shared.store


async def test_what_was_put_is_there_with_its_version(store: SharedStore) -> None:
    version = await store.put("key", b"value")

    assert version is not None
    assert version > 0
    assert await store.get("key") == SharedEntry(b"value", version)
    assert await store.version("key") == version


async def test_nothing_is_there_before(store: SharedStore) -> None:
    assert await store.get("key") is None
    assert await store.version("key") == 0


@pytest.mark.parametrize("value", [b"", b"\0\r\n\xff", LARGE], ids=["empty", "binary", "large"])
async def test_a_value_is_any_bytes(store: SharedStore, value: bytes) -> None:
    await store.put("key", value)

    entry = await store.get("key")

    assert entry is not None
    assert entry.value == value


@pytest.mark.parametrize("key", ["a", "A", "lease:poll:/api/v1/orders", "%", "'\"\\{}*?[]", "k" * 512])
async def test_a_key_is_any_printable_text(store: SharedStore, key: str) -> None:
    await store.put("other", b"1")
    await store.put(key, b"2")

    entry = await store.get(key)

    assert entry is not None
    assert entry.value == b"2"
    assert await store.get(key.swapcase() + "x") is None


async def test_another_put_has_a_higher_version(store: SharedStore) -> None:
    first = await store.put("key", b"1")
    second = await store.put("key", b"1")

    assert first is not None
    assert second is not None
    assert second > first


async def test_a_put_that_expects_nothing_finds_something_and_changes_nothing(store: SharedStore) -> None:
    first = await store.put("key", b"1", expected=0)

    assert first is not None
    assert await store.put("key", b"2", expected=0) is None
    assert await store.get("key") == SharedEntry(b"1", first)


async def test_a_put_that_expects_another_version_changes_nothing(store: SharedStore) -> None:
    first = await store.put("key", b"1")
    assert first is not None
    second = await store.put("key", b"2", expected=first)

    assert second is not None
    assert await store.put("key", b"3", expected=first) is None
    assert await store.put("other", b"3", expected=first) is None
    assert await store.get("key") == SharedEntry(b"2", second)
    assert await store.get("other") is None


async def test_of_many_that_expect_the_same_one_wins(store: SharedStore) -> None:
    first = await store.put("key", b"0")
    versions = await asyncio.gather(
        *(store.put("key", str(number).encode(), expected=first) for number in range(20))
    )

    (won,) = [number for number, version in enumerate(versions) if version is not None]
    assert await store.get("key") == SharedEntry(str(won).encode(), versions[won])  # type: ignore[arg-type]


async def test_what_is_removed_is_gone_and_its_versions_go_on(store: SharedStore) -> None:
    first = await store.put("key", b"1")
    assert first is not None

    assert await store.remove("key") is True
    assert await store.remove("key") is False
    assert await store.get("key") is None
    assert await store.version("key") == 0
    second = await store.put("key", b"2", expected=0)
    assert second is not None
    assert second > first


async def test_a_remove_that_expects_another_version_removes_nothing(store: SharedStore) -> None:
    first = await store.put("key", b"1")
    assert first is not None
    second = await store.put("key", b"2")
    assert second is not None

    assert await store.remove("key", expected=first) is False
    assert await store.get("key") == SharedEntry(b"2", second)
    assert await store.remove("key", expected=second) is True
    assert await store.get("key") is None


async def test_after_its_time_a_value_is_gone_and_its_versions_go_on(shared: Shared) -> None:
    store = shared.store
    first = await store.put("key", b"1", ttl_seconds=TTL_SECONDS)
    kept = await store.put("kept", b"1")
    assert first is not None

    await shared.let_pass(TTL_SECONDS)
    assert await store.version("key") == 0

    assert await store.get("key") is None
    assert await store.remove("key") is False
    assert await store.put("key", b"2", expected=first) is None
    second = await store.put("key", b"2", expected=0)
    assert second is not None
    assert second > first
    assert await store.get("kept") == SharedEntry(b"1", kept)  # type: ignore[arg-type]


async def test_a_later_put_takes_the_end_of_an_earlier_one_away(shared: Shared) -> None:
    store = shared.store
    await store.put("key", b"1", ttl_seconds=TTL_SECONDS)
    await store.put("key", b"2")

    await shared.let_pass(TTL_SECONDS)

    entry = await store.get("key")
    assert entry is not None
    assert entry.value == b"2"
