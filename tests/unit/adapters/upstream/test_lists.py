"""The lists of one route: which there are, which are dropped, and what that loses."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from adapters.memory import MemoryLog
from adapters.upstream.failures import NoAnswer
from gateway.ports.legacy_lists import BASE, ListName
from tests.support.clock import ManualClock
from tests.support.effort import calls_of
from tests.support.list_world import ListWorld
from tests.support.loop import let_others_run
from tests.support.polled import Unusable


@pytest.fixture
async def make_bench(clock: ManualClock) -> AsyncIterator[Callable[..., ListWorld]]:
    log = MemoryLog(clock, max_events=1000, max_age_seconds=1e9, max_bytes=2**20)
    await log.start()
    benches: list[ListWorld] = []

    def make(**settings: Any) -> ListWorld:
        benches.append(ListWorld(clock, log, **settings))
        return benches[-1]

    yield make
    for bench in benches:
        await bench.tasks.close()
        bench.lists.close()
    await log.close()


@pytest.fixture
async def by_query(make_bench) -> ListWorld:
    return make_bench(vary_query=("status",), max_variants=3)


@pytest.fixture
async def by_path(make_bench) -> ListWorld:
    return make_bench(path="/c/{customer}", upstream="http://127.0.0.1:9000/{customer}", max_variants=3)


async def test_who_asks_for_the_same_query_shares_a_list(by_query: ListWorld) -> None:
    one = by_query.ask(variant="status=a")
    assert by_query.ask(variant="status=a") is one
    assert by_query.names == ["orders", "orders?status=a"]
    assert by_query.lists.find(BASE) is by_query.lists.base


async def test_the_list_of_a_query_goes_when_nobody_asks_any_more(by_query: ListWorld) -> None:
    await by_query.asked(variant="status=a")
    assert len(by_query.names) == 2
    await by_query.all_leave()
    assert by_query.names == ["orders"]
    assert by_query.counters.bases_dropped == 0
    assert list(by_query.tasks.failures) == ["poller of /api/v1/orders"]


async def test_there_is_no_room_for_more_than_is_configured(by_query: ListWorld) -> None:
    for number in range(3):
        await by_query.asked(variant=f"status={number}")
    for number in range(3, 10_000):
        assert by_query.ask(variant=f"status={number}") is None
    assert len(by_query.names) == 4
    assert by_query.counters.lists_refused == 9_997
    await by_query.all_leave()
    assert by_query.ask(variant="status=7") is not None


async def test_that_lists_are_full_is_logged_once_a_minute(by_query: ListWorld, caplog) -> None:
    for number in range(20):
        by_query.ask(variant=f"status={number}")
    assert caplog.text.count("upstream_lists_full") == 1
    by_query.clock.advance(61.0)
    for number in range(3):
        by_query.ask(variant=f"status={number}")
    by_query.ask(variant="status=other")
    assert caplog.text.count("upstream_lists_full") == 2


async def test_the_list_of_a_path_stays_with_its_answer_when_nobody_asks(by_path: ListWorld) -> None:
    one = await by_path.asked("7")
    await by_path.all_leave()
    assert by_path.names == ["7"]
    assert by_path.ask("7") is one
    assert one.poller.has_answer


async def test_where_there_is_no_room_the_list_goes_that_was_used_longest_ago(
    by_path: ListWorld,
) -> None:
    for value in "123":
        await by_path.asked(value)
    await by_path.asked("1")
    await by_path.all_leave()
    by_path.ask("4")
    assert by_path.names == ["3", "1", "4"]
    assert by_path.counters.bases_dropped == 1


async def test_a_list_that_is_wanted_stays_however_many_are_asked_for(by_path: ListWorld) -> None:
    by_path.rows.want("7")
    by_path.lists.wake()
    await let_others_run()
    seven = by_path.lists.find(ListName(("7",)))
    for number in range(10_000, 10_100):
        by_path.ask(str(number))
        await by_path.all_leave()
    assert by_path.lists.find(ListName(("7",))) is seven
    assert len(by_path.names) == 3


async def test_rows_that_a_stream_wants_are_polled_and_no_others(by_path: ListWorld) -> None:
    by_path.rows.want("7")
    by_path.lists.wake()
    await let_others_run()
    assert by_path.names == ["7"]
    assert by_path.made["/c/7"][0].answers.is_asked


async def test_rows_that_there_was_no_room_for_are_polled_once_there_is(by_path: ListWorld) -> None:
    for value in "123":
        await by_path.asked(value)
    by_path.rows.want("7")
    by_path.lists.wake()
    assert by_path.names == ["1", "2", "3"]
    await by_path.all_leave()
    assert "7" in by_path.names
    await let_others_run()
    assert by_path.made["/c/7"][0].answers.is_asked


async def test_a_value_that_no_path_can_have_is_nobodys_list(by_path: ListWorld) -> None:
    for value in ("", "..", "a/b", "x" * 300):
        by_path.rows.want(value)
    by_path.rows.want("7")
    by_path.lists.wake()
    assert by_path.names == ["7"]


async def test_a_route_without_events_is_polled_for_no_stream(make_bench) -> None:
    bench = make_bench(path="/c/{customer}", upstream="http://127.0.0.1:9000/{customer}", events="none")
    bench.rows.want("7")
    bench.lists.wake()
    assert bench.names == []


async def test_that_an_answer_was_dropped_is_told_before_the_next_one(by_path: ListWorld) -> None:
    one = await by_path.asked("1")
    await one.gap.tell()
    assert await by_path.gaps() == []
    for value in "2345":
        await by_path.asked(value)
        await by_path.all_leave()
    again = by_path.ask("1")
    assert again is not None
    await again.gap.tell()
    await again.gap.tell()
    assert await by_path.gaps() == [("poll_gap", "1")]


async def test_a_list_that_never_had_an_answer_leaves_no_gap(by_path: ListWorld) -> None:
    one = by_path.ask("1")
    assert one is not None
    await let_others_run()
    await by_path.answers(one, NoAnswer("refused"))
    for value in "2345":
        await by_path.all_leave()
        await by_path.asked(value)
    await by_path.all_leave()
    again = by_path.ask("1")
    assert again is not None
    assert not again.gap.is_open


async def test_a_write_puts_every_list_out_of_date_and_asks_for_its_own_alone(
    by_path: ListWorld,
) -> None:
    for value in "12":
        await by_path.asked(value)
    by_path.lists.written(("1",))
    await let_others_run()
    assert by_path.made["/c/1"][0].answers.is_asked
    assert not by_path.made["/c/2"][0].answers.is_asked
    two = by_path.lists.find(ListName(("2",)))
    assert two is not None
    assert two.poller.at_once() is None


async def test_the_route_is_down_where_one_of_its_lists_is(by_path: ListWorld) -> None:
    assert by_path.lists.health().state == "idle"
    await by_path.asked("1")
    assert (by_path.lists.health().state, by_path.lists.health().path) == ("connected", "/c/{customer}")
    three, two = by_path.ask("3"), by_path.ask("2")
    assert three is not None
    assert two is not None
    await let_others_run()
    await by_path.answers(three, Unusable())
    assert by_path.lists.health().state == "unusable"
    await by_path.answers(two, NoAnswer("refused"))
    health = by_path.lists.health()
    assert (health.state, health.last_error, health.path) == (
        "down",
        NoAnswer("refused").detail,
        "/c/{customer}",
    )


async def test_to_wake_them_costs_the_same_however_many_there_are(make_bench) -> None:
    bench = make_bench(path="/c/{customer}", upstream="http://127.0.0.1:9000/{customer}", max_variants=500)
    few = calls_of(bench.lists.wake)
    for number in range(500):
        bench.ask(str(number))
    assert calls_of(bench.lists.wake) == few
