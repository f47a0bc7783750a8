"""gateway/service/wiring/logs.py: the log that a URL means, and what is said where its driver is missing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.core.errors import ConfigError
from gateway.runtime.leases import SharedLeases
from gateway.service.log_kinds import LOGS
from gateway.service.settings import LogSettings, Settings
from gateway.service.wiring.logs import check_url, needs_extra, open_leases, open_log, open_node_links
from tests.support.clock import ManualClock
from tests.support.events import an_event
from tests.support.gateway import make_settings


async def test_the_log_in_memory_keeps_what_the_history_says(clock: ManualClock) -> None:
    settings = make_settings(history={"max_events": 3}, log={"max_events": 100})

    log = open_log(settings, clock)
    positions = (await log.append([an_event() for _ in range(10)])).positions

    assert (await log.bounds()).floor == positions[6]


@pytest.mark.parametrize(
    "use",
    [
        lambda settings, clock: open_log(settings, clock),
        lambda settings, clock: open_leases(settings, clock),
        lambda settings, clock: open_node_links(settings),
        lambda settings, clock: check_url(settings),
        lambda settings, clock: settings.log.is_in_server,
    ],
    ids=["log", "leases", "nodes", "check", "server"],
)
def test_a_log_of_another_scheme_is_no_log_in_memory(
    clock: ManualClock, use: Callable[[Settings, ManualClock], object]
) -> None:
    settings = make_settings()
    unknown = settings.model_copy(update={"log": LogSettings.model_construct(url="kafka://broker")})

    with pytest.raises(ValueError, match="must be memory://, or a URL such as"):
        use(unknown, clock)


@pytest.mark.parametrize("kind", LOGS)
def test_every_kind_of_log_that_can_be_set_can_be_opened(
    clock: ManualClock, tmp_path: Path, kind: str
) -> None:
    url = f"sqlite:///{tmp_path}/events.db" if kind == "sqlite" else LOGS[kind].example
    settings = make_settings(log={"url": url})

    check_url(settings)
    assert open_log(settings, clock).append is not None
    assert isinstance(open_leases(settings, clock), SharedLeases) == LOGS[kind].is_in_server
    assert (open_node_links(settings) is not None) == LOGS[kind].is_in_server


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
