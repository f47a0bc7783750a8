"""The benchmark of the logs carries each of its loads, and finds nothing lost."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from loadtests.log_report import LogReport
from loadtests.logs import Plan, Store, carry, postgres_store, redis_store
from tests.support.postgres import fresh_database
from tests.support.redis import redis_url

# A ring holds 10,000: whoever is that far behind and one more starts in the log.
TINY = Plan(paced_seconds=0.05, full_seconds=0.2, full_events=500, behind=10_500, rounds=1)


@contextmanager
def _memory() -> Iterator[Store]:
    yield Store("memory", "memory://", "")


@contextmanager
def _sqlite() -> Iterator[Store]:
    yield Store("sqlite", "sqlite:///events.db", "")


@contextmanager
def _postgres() -> Iterator[Store]:
    with fresh_database() as url:
        yield postgres_store(url)


@contextmanager
def _redis() -> Iterator[Store]:
    yield redis_store(redis_url())


@pytest.mark.slow
@pytest.mark.parametrize(("make", "loads"), [(_memory, 4), (_sqlite, 5), (_postgres, 9), (_redis, 9)])
def test_every_load_is_carried_and_checked(
    make: Callable[[], AbstractContextManager[Store]], loads: int
) -> None:
    report = LogReport(command="", date="", machine={}, sizes=[])
    with make() as store:
        carry([store], TINY, min(os.sched_getaffinity(0)), report)
    assert report.problems == []
    assert len(report.results) == loads
    assert all(result.events > 0 for result in report.results)
