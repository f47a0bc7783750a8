"""gateway/service/wiring/logs.py: the log that a URL means, and what is said where its driver is missing."""

import pytest

from gateway.core.errors import ConfigError
from gateway.service.wiring.logs import needs_extra, open_log
from tests.support.clock import ManualClock
from tests.support.events import an_event
from tests.support.gateway import make_settings


async def test_the_log_in_memory_keeps_what_the_history_says(clock: ManualClock) -> None:
    settings = make_settings(history={"max_events": 3}, log={"max_events": 100})

    log = open_log(settings, clock)
    positions = (await log.append([an_event() for _ in range(10)])).positions

    assert (await log.bounds()).floor == positions[6]


def test_a_missing_driver_is_one_sentence_with_the_remedy() -> None:
    with pytest.raises(ConfigError) as failure, needs_extra("redis", "no_such_driver"):
        __import__("no_such_driver")

    assert failure.value.detail == (
        "log.url: this log needs the package no_such_driver, which is not installed: "
        "pip install 'tidegate[redis]'."
    )


def test_a_missing_package_that_is_no_extra_is_a_defect() -> None:
    with pytest.raises(ModuleNotFoundError), needs_extra("redis", "redis"):
        __import__("no_such_driver")
