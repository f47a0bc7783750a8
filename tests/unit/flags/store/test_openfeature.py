"""OpenFeature's clients ask our flags, and our store asks OpenFeature's providers."""

import queue
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openfeature")

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode
from openfeature.provider import ProviderStatus
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

from flags.decide.caller import Caller
from flags.decide.flag import Flags
from flags.errors import NotFound, StoreUnreadable, StoreUnwritable
from flags.store.openfeature import OpenFeatureFlagStore, TidegateProvider, caller_of
from flags.store.port import FlagStore, kill
from tests.support.flags import NEVER_SECONDS, NOW_MS, Told, make_flag, open_store, rule

DOMAIN = "tests"
LIVE: dict[str, Any] = {"stage": "live", "percentage": 100}


@pytest.fixture(autouse=True)
def _no_providers_left() -> Iterator[None]:
    yield
    api.shutdown()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FlagStore]:
    async with open_store(tmp_path / "flags.json") as store:
        yield store


def client_of(store: FlagStore) -> OpenFeatureClient:
    api.set_provider_and_wait(TidegateProvider(store), DOMAIN)
    return api.get_client(DOMAIN)


async def change(store: FlagStore, expected: int | None = None, **fields: Any) -> None:
    await store.change("orders", fields, expected_revision=expected, who="ann", reason="test")


def context(key: str | None = None, /, **attributes: Any) -> EvaluationContext:
    return EvaluationContext(key, attributes)


async def test_a_client_gets_the_mode_with_the_reason_and_what_it_rests_on(store: FlagStore) -> None:
    client = client_of(store)
    await change(store, 0, **LIVE)

    details = client.get_boolean_details("orders", False, context("u42"))
    assert (details.value, details.reason, details.variant) == (True, "SPLIT", "on")
    assert details.flag_metadata == {"stage": "live", "revision": 1}
    assert client.get_string_value("orders", "?", context("u42")) == "streaming"

    await kill(store, "orders", who="ann", reason="fire")
    details = client.get_boolean_details("orders", True, context("u42"))
    assert (details.value, details.reason, details.variant) == (False, "DISABLED", "off")
    assert details.flag_metadata["cause"] == "kill_switch"


async def test_attributes_of_the_context_are_targeted(store: FlagStore) -> None:
    client = client_of(store)
    await change(store, 0, stage="live", targeting=[rule("claim:plan", "eq", "gold", "streaming")])

    assert client.get_boolean_value("orders", False, context("u42", plan="gold"))
    assert not client.get_boolean_value("orders", True, context("u42", plan="tin"))


async def test_a_component_without_a_flag_streams(store: FlagStore) -> None:
    details = client_of(store).get_boolean_details("orders", False)

    assert (details.value, details.reason) == (True, "STATIC")


async def test_a_caller_without_a_key_gets_the_clients_default_and_the_error(store: FlagStore) -> None:
    client = client_of(store)
    await change(store, 0, stage="live", percentage=50)

    details = client.get_boolean_details("orders", True)

    assert (details.value, details.reason) == (True, "ERROR")
    assert details.error_code is ErrorCode.TARGETING_KEY_MISSING


async def test_a_mode_is_no_number_and_no_object(store: FlagStore) -> None:
    client = client_of(store)

    for details in (
        client.get_integer_details("orders", 7),
        client.get_float_details("orders", 7.5),
        client.get_object_details("orders", {}),
    ):
        assert details.error_code is ErrorCode.TYPE_MISMATCH


@pytest.mark.parametrize(
    "attributes", [{"user": 7}, {"clientVersion": 2.1}, {"preference": "push"}, {"capable": "yes"}]
)
async def test_a_context_that_describes_no_caller_is_an_error(
    store: FlagStore, attributes: dict[str, Any]
) -> None:
    details = client_of(store).get_boolean_details("orders", False, context("u42", **attributes))

    assert details.error_code is ErrorCode.INVALID_CONTEXT
    assert details.value is False


def test_a_context_is_a_caller() -> None:
    assert caller_of(None) == Caller()
    assert caller_of(context("u1", user="u2", org="acme", roles=["qa"], capable=False)) == Caller(
        user="u2", claims=(("org", ("acme",)), ("roles", ("qa",))), capable=False
    )
    assert caller_of(
        context("u1", session="s", client="c", tenant="t", clientVersion="1", preference="polling")
    ) == Caller(user="u1", session="s", client="c", tenant="t", client_version="1", preference="polling")


async def test_a_client_hears_of_changes_until_the_provider_is_gone(store: FlagStore) -> None:
    client = client_of(store)
    heard: queue.Queue[EventDetails] = queue.Queue()
    client.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, heard.put)
    await change(store, 0, **LIVE)
    assert heard.get(timeout=60).flags_changed == ["orders"]

    await store.kill_all(True, who="ann", reason="fire")
    assert heard.get(timeout=60).flags_changed == ["orders"]

    client.provider.shutdown()
    await change(store, percentage=5)
    assert heard.empty()


async def test_a_client_knows_that_flags_are_stale(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    async with open_store(path) as store:
        client = client_of(store)
        spoil(path)
        await store.refresh()
        await store.refresh()
        assert client.get_provider_status() is ProviderStatus.STALE
        assert client.get_boolean_details("orders", False).reason == "STALE"

        await store.kill_all(True, who="ann", reason="fire")
        assert client.get_provider_status() is ProviderStatus.READY


def spoil(path: Path) -> None:
    path.write_bytes(b"{")


def provide(**flags: Any) -> None:
    """Another provider, with these flags."""
    known = {key: InMemoryFlag("it", {"it": value}) for key, value in flags.items()}
    api.set_provider_and_wait(InMemoryProvider(known), DOMAIN)


@asynccontextmanager
async def asking(told: Told | None = None) -> AsyncIterator[OpenFeatureFlagStore]:
    """A started store that asks when it is told to."""
    store = OpenFeatureFlagStore(
        api.get_client(DOMAIN),
        ["orders", "invoices"],
        tell=told or Told(),
        now_ms=lambda: NOW_MS,
        poll_seconds=NEVER_SECONDS,
    )
    await store.start()
    try:
        yield store
    finally:
        await store.close()


async def test_the_store_has_what_the_provider_says() -> None:
    provide(orders=LIVE, invoices={}, killAll=True)

    async with asking() as store:
        assert store.snapshot() == Flags({"orders": make_flag(**LIVE)}, kill_all=True)


async def test_the_store_has_no_flags_where_the_provider_has_none() -> None:
    provide()

    async with asking() as store:
        assert store.snapshot() == Flags()
        with pytest.raises(NotFound):
            store.revisions("orders")


async def test_a_change_at_the_provider_is_a_revision_and_subscribers_hear_of_it() -> None:
    provide(orders=LIVE)
    async with asking() as store:
        heard: list[Flags] = []
        store.subscribe(lambda before, after: heard.append(after))
        provide(orders=LIVE | {"percentage": 5})
        await store.refresh()
        await store.refresh()

        assert heard == [Flags({"orders": make_flag(stage="live", percentage=5, revision=2)})]
        assert [entry.who for entry in store.revisions("orders").entries] == ["In-Memory Provider"] * 2

        provide(killAll=False)
        await store.refresh()
        assert store.snapshot() == Flags()


@pytest.mark.parametrize(
    "value", [{"stage": "beta"}, LIVE | {"component": "invoices"}, [1], "live", {"stage": "live", "x": 1}]
)
async def test_what_can_not_be_used_is_told_once_and_the_last_good_flag_stays(value: Any) -> None:
    told = Told()
    provide(orders=LIVE)
    async with asking(told) as store:
        provide(orders=value, invoices={"stage": "shadow"})
        await store.refresh()
        await store.refresh()

        flags = {"orders": make_flag(**LIVE), "invoices": make_flag(component="invoices", stage="shadow")}
        assert store.snapshot() == Flags(flags, stale=True)
        assert told.events == ["openfeature_flag_refused"]

        provide(orders=LIVE)
        await store.refresh()
        assert not store.snapshot().stale


async def test_a_kill_switch_of_another_type_leaves_it_as_it_was() -> None:
    provide(killAll=True)
    async with asking() as store:
        provide(killAll="no")
        await store.refresh()

        assert store.snapshot() == Flags(kill_all=True, stale=True)


async def test_a_provider_that_can_not_be_used_at_the_start_stops_it() -> None:
    provide(orders={"stage": "beta"})

    with pytest.raises(StoreUnreadable, match="flag orders can't be used: /stage"):
        async with asking():
            pass


async def test_flags_of_a_provider_are_changed_there_and_not_here() -> None:
    provide(orders=LIVE)
    async with asking() as store:
        with pytest.raises(StoreUnwritable, match="In-Memory Provider: change them there"):
            await change(store, percentage=5)
        with pytest.raises(StoreUnwritable):
            await store.rollback("orders", who="ann", reason="x")
        with pytest.raises(StoreUnwritable):
            await store.kill_all(True, who="ann", reason="x")
        assert store.snapshot().get("orders") == make_flag(**LIVE)
