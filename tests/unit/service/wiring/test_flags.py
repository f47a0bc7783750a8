"""gateway/service/wiring/flags.py: what `flags.store` means, and which lines an outage of it gives."""

import logging
from pathlib import Path

import pytest

from flags.store.port import FlagStore
from flags.store.preferences import FilePreferences
from flags.store.shared_preferences import SharedPreferences
from flags.store.shared_store import KEY
from gateway.runtime.outage import REMINDER_SECONDS, Outage
from gateway.service.settings import Settings
from gateway.service.wiring.flags import PATIENCE_SECONDS, open_flags
from tests.support.clock import ManualClock
from tests.support.shared_store import Failure, MemorySharedStore


class Server:
    """What nodes share, with a log beside it."""

    def __init__(self, clock: ManualClock) -> None:
        self.failure: Failure | None = None
        self.log = Outage(logging.getLogger("log"), "log", now=clock.monotonic)
        self.clock = clock
        settings = Settings.model_validate({"log": {"url": "redis://"}, "flags": {"store": "redis"}})
        self.shared = MemorySharedStore(clock, lambda: self.failure)
        self.flags, self.preferences = open_flags(settings, self.shared, clock, self.log)

    async def look(self, seconds: float) -> None:
        """Lets so much time pass, in which the flags and somebody's choice are looked for each second."""
        for _ in range(round(seconds)):
            await self.flags.refresh()
            await self.preferences.get("ann")
            self.clock.advance(1)


async def kill_all(flags: FlagStore) -> None:
    await flags.start()
    await flags.kill_all(True, who="ann", reason="fire")
    await flags.close()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [str(record.message) for record in caplog.records]
    caplog.clear()
    return found


@pytest.fixture
async def server(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> Server:
    caplog.set_level(logging.INFO)
    return Server(clock)


async def test_flags_alone_out_of_reach_are_a_line_each_at_the_start_a_minute_and_the_end(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.failure = "before"
    await server.look(PATIENCE_SECONDS + 1)
    assert lines(caplog) == ["flags_store_failed", "preferences_failed"]
    await server.look(2 * REMINDER_SECONDS)
    assert lines(caplog) == ["flags_store_still_failing", "preferences_still_failing"] * 2
    server.failure = None
    await server.look(2)
    assert lines(caplog) == ["flags_store_recovered", "preferences_recovered"]


async def test_what_fails_with_the_log_adds_no_lines_to_the_log_s(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.failure = "before"
    await server.look(1)
    server.log.failed()
    await server.look(100)
    server.log.over()
    server.failure = None
    await server.look(100)

    assert lines(caplog) == ["log_failed", "log_recovered"]


async def test_what_stays_out_of_reach_after_the_log_is_back_is_told(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.failure = "before"
    server.log.failed()
    await server.look(100)
    server.log.over()
    assert lines(caplog) == ["log_failed", "log_recovered"]
    await server.look(PATIENCE_SECONDS + 1)

    assert lines(caplog) == ["flags_store_failed", "preferences_failed"]


async def test_a_file_beside_the_configuration_needs_no_server(tmp_path: Path, clock: ManualClock) -> None:
    settings = Settings.model_validate(
        {"flags": {"store": "file:flags.json"}}, context={"base_dir": tmp_path}
    )
    log = Outage(logging.getLogger("log"), "log")
    shared = MemorySharedStore(clock)

    flags, preferences = open_flags(settings, shared, clock, log)

    await kill_all(flags)
    assert (tmp_path / "flags.json").exists()
    assert isinstance(preferences, FilePreferences)
    await preferences.start()
    await preferences.put("ann", "polling")
    await preferences.close()
    assert (tmp_path / "flags.preferences.db").exists()


async def test_what_nodes_share_is_in_the_log_s_server(server: Server) -> None:
    await kill_all(server.flags)
    assert await server.shared.version(KEY) == 1
    assert isinstance(server.preferences, SharedPreferences)
