"""gateway/access/jwks.py: when keys are fetched, who waits for that, and which keys are good meanwhile."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.access.jwks import WAIT_SECONDS, Fetched, FetchFailed, RefreshTimes, RemoteKeys
from gateway.access.token_keys import KeySet, keys_of_jwks
from gateway.core.access_errors import KeysUnavailable
from gateway.runtime.outage import Outage
from tests.support.clock import ManualClock
from tests.support.issuer import jwk
from tests.support.loop import let_others_run, until

FAILURE = FetchFailed("status", "The answer has status 500.")


def keys(*kids: str) -> KeySet:
    return keys_of_jwks({"keys": [jwk("ES256", kid, kid=kid) for kid in kids]})


class Issuer:
    """An address whose answers a test gives, and the time, which a test turns."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self.clock = ManualClock()
        self.fetches: list[asyncio.Future[Fetched]] = []
        self.rested = asyncio.Event()
        outage = Outage(logging.getLogger("test"), "jwks", now=self.clock.monotonic)
        self.keys = RemoteKeys(self.fetch, self.clock.monotonic, outage, self.rest, wait_seconds)

    async def fetch(self) -> Fetched:
        self.fetches.append(asyncio.get_running_loop().create_future())
        return await self.fetches[-1]

    async def rest(self, wanted: asyncio.Event, seconds: float) -> None:
        due = self.clock.monotonic() + seconds
        while not wanted.is_set() and self.clock.monotonic() < due:  # noqa: ASYNC110 - a test turns the clock
            await asyncio.sleep(0)

    async def answers(self, answer: KeySet | FetchFailed, max_age: float | None = None) -> None:
        """Ends the fetch under way."""
        await until(lambda: bool(self.fetches) and not self.fetches[-1].done(), "a fetch is under way")
        if isinstance(answer, FetchFailed):
            self.fetches[-1].set_exception(answer)
        else:
            self.fetches[-1].set_result(Fetched(answer, max_age))
        await let_others_run()

    async def kids(self, kid: str | None) -> list[str | None]:
        return [key.kid for key in await self.keys.fitting("ES256", kid)]


@asynccontextmanager
async def issuer() -> AsyncIterator[Issuer]:
    made = Issuer()
    task = asyncio.create_task(made.keys.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_the_first_fetch_is_due_at_once() -> None:
    times = RefreshTimes()
    assert times.due == 0.0
    assert times.may_begin(0.0)


def test_an_unknown_key_has_them_fetched_every_ten_seconds_at_most() -> None:
    times = RefreshTimes()
    times.begin(100.0)
    assert not times.may_begin(109.9)
    assert times.may_begin(110.0)


@pytest.mark.parametrize(
    ("max_age", "seconds"), [(None, 300), (0.0, 10), (9.0, 10), (60.0, 60), (86400.0, 300)]
)
def test_the_next_fetch_is_due_within_bounds(max_age: float | None, seconds: float) -> None:
    times = RefreshTimes()
    times.succeeded(100.0, max_age)
    assert times.due == 100.0 + seconds


def test_a_fetch_that_failed_is_tried_again_soon() -> None:
    times = RefreshTimes()
    times.failed(100.0)
    assert times.due == 105.0


async def test_the_keys_are_fetched_at_the_start() -> None:
    async with issuer() as given:
        await given.answers(keys("a"))
        assert await given.kids("a") == ["a"]
        assert (given.keys.revision, given.keys.fetches, given.keys.failures) == (1, 1, 0)


async def test_the_start_waits_for_the_first_fetch_until_it_has_ended() -> None:
    async with issuer() as given:
        start = asyncio.create_task(given.keys.tried(60.0))
        await let_others_run()
        assert not start.done()
        await given.answers(FAILURE)
        assert start.done()


async def test_the_start_waits_no_longer_than_it_is_told() -> None:
    async with issuer() as given:
        await given.keys.tried(0.0)
        assert given.keys.revision == 0


async def test_who_asks_before_the_first_fetch_has_ended_waits_for_it() -> None:
    async with issuer() as given:
        asking = [asyncio.create_task(given.kids(kid)) for kid in ("a", "b", "a")]
        await given.answers(keys("a", "b"))
        assert [task.result() for task in asking] == [["a"], ["b"], ["a"]]
        assert len(given.fetches) == 1


async def test_keys_that_were_never_in_reach_are_unavailable() -> None:
    async with issuer() as given:
        await given.answers(FAILURE)
        with pytest.raises(KeysUnavailable) as failure:
            await given.kids("a")
        assert failure.value.headers == {"Retry-After": "5"}
        assert given.keys.failures == 1


async def test_who_waited_for_a_fetch_that_failed_is_told_so() -> None:
    async with issuer() as given:
        asking = asyncio.create_task(given.kids("a"))
        await given.answers(FAILURE)
        with pytest.raises(KeysUnavailable):
            await asking


async def test_a_failed_fetch_is_repeated_until_one_succeeds() -> None:
    async with issuer() as given:
        for _ in range(3):
            await given.answers(FAILURE)
            given.clock.advance(5.0)
        await given.answers(keys("a"))
        assert await given.kids("a") == ["a"]


async def test_an_unknown_key_has_them_fetched_once_for_all_who_ask() -> None:
    async with issuer() as given:
        await given.answers(keys("a"))
        given.clock.advance(10.0)
        asking = [asyncio.create_task(given.kids(kid)) for kid in ("b", "b", "c")]
        await given.answers(keys("a", "b"))
        assert [task.result() for task in asking] == [["b"], ["b"], []]
        assert len(given.fetches) == 2


async def test_an_unknown_key_soon_after_a_fetch_is_just_unknown() -> None:
    async with issuer() as given:
        await given.answers(keys("a"))
        given.clock.advance(9.9)
        assert await given.kids("b") == []
        assert len(given.fetches) == 1


async def test_who_has_a_known_key_waits_for_no_fetch() -> None:
    async with issuer() as given:
        await given.answers(keys("a"))
        given.clock.advance(10.0)
        asking = asyncio.create_task(given.kids("b"))
        await until(lambda: len(given.fetches) == 2, "a fetch is under way")
        assert await given.kids("a") == ["a"]
        assert await given.kids(None) == ["a"]
        assert not asking.done()
        await given.answers(keys("a"))
        assert await asking == []


async def test_another_algorithm_has_nothing_fetched() -> None:
    async with issuer() as given:
        await given.answers(keys("a"))
        given.clock.advance(10.0)
        for algorithm in ("HS256", "none", "RS512", ""):
            assert await given.keys.fitting(algorithm, "b") == ()
        assert len(given.fetches) == 1


async def test_a_token_without_a_kid_that_no_key_fits_has_them_fetched() -> None:
    async with issuer() as given:
        await given.answers(keys())
        given.clock.advance(10.0)
        asking = asyncio.create_task(given.kids(None))
        await given.answers(keys("a"))
        assert await asking == ["a"]


async def test_the_keys_are_fetched_regularly() -> None:
    async with issuer() as given:
        await given.answers(keys("a"))
        given.clock.advance(299.9)
        await let_others_run()
        assert len(given.fetches) == 1
        given.clock.advance(0.1)
        await given.answers(keys("b"))
        assert await given.kids(None) == ["b"]


async def test_a_key_that_a_fetch_no_longer_shows_is_not_known_any_more() -> None:
    async with issuer() as given:
        await given.answers(keys("a", "b"), max_age=10.0)
        given.clock.advance(10.0)
        await given.answers(keys("b"))
        assert await given.kids("a") == []
        assert await given.kids("b") == ["b"]
        assert given.keys.revision == 2


async def test_the_same_keys_are_no_new_revision() -> None:
    async with issuer() as given:
        for _ in range(3):
            await given.answers(keys("a"))
            given.clock.advance(300.0)
        assert given.keys.revision == 1


async def test_known_keys_go_on_through_an_outage() -> None:
    async with issuer() as given:
        await given.answers(keys("a"))
        given.clock.advance(300.0)
        for _ in range(100):
            await given.answers(FAILURE)
            assert await given.kids("a") == ["a"]
            given.clock.advance(5.0)
            assert given.keys.is_out_of_reach
        assert (given.keys.revision, given.keys.failures) == (1, 100)
        await given.answers(keys("a"))
        assert not given.keys.is_out_of_reach


async def test_an_unknown_key_in_an_outage_is_just_unknown() -> None:
    async with issuer() as given:
        await given.answers(keys("a"))
        given.clock.advance(300.0)
        await given.answers(FAILURE)
        assert await given.kids("b") == []


async def test_who_asks_while_nothing_is_fetched_does_not_wait_for_ever() -> None:
    made = Issuer(wait_seconds=0.0)
    with pytest.raises(KeysUnavailable):
        await made.kids("a")


async def test_who_waits_as_it_ends_is_let_go() -> None:
    async with issuer() as given:
        asking = asyncio.create_task(given.kids("a"))
        await until(lambda: bool(given.fetches), "a fetch is under way")
    with pytest.raises(KeysUnavailable):
        await asking


async def test_log_lines_say_when_an_outage_begins_and_ends_and_when_keys_change(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with issuer() as given:
        await given.answers(FAILURE)
        given.clock.advance(5.0)
        await given.answers(keys("a", "b"))
        given.clock.advance(300.0)
        await given.answers(keys())
    lines = [record for record in caplog.records if record.name != "asyncio"]
    said = [(line.levelname, line.event, line.fields) for line in lines]  # type: ignore[attr-defined]
    assert said[0][2] == {"kind": "status", "error": FAILURE}
    assert [fields["keys"] for _, _, fields in said[2:]] == [2, 0]
