"""What is said of an upstream that can't be reached: in the log, and to whoever asks."""

import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from adapters.memory import MemoryLog
from adapters.upstream import Poller, UpstreamSource
from gateway.core.errors import LogError
from gateway.core.events import Event
from gateway.ports.clock import SystemClock
from gateway.ports.log import Appended
from gateway.runtime.outage import REMINDER_SECONDS, Outage
from tests.support.clock import ManualClock
from tests.support.legacy import PATH, legacy_route, listed, order
from tests.support.upstream import in_front_of, raw_upstream, upstream

pytestmark = pytest.mark.usefixtures("way_in")


def told(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """The fields of the lines with that name."""
    return [record.__dict__["fields"] for record in caplog.records if record.getMessage() == name]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    ("scheme", "host", "kind"),
    [("http", "127.0.0.1", "refused"), ("http", "nobody.invalid", "name"), ("https", "127.0.0.1", "tls")],
)
async def test_the_log_names_the_address_and_what_happened_and_the_caller_hears_only_that(
    caplog: pytest.LogCaptureFixture, refusing: str, shared: bool, scheme: str, host: str, kind: str
) -> None:
    async with upstream() as without_tls:
        port = (without_tls.url if kind == "tls" else refusing).split(":")[2].split("/")[0]
        address = f"{scheme}://{host}:{port}"
        async with in_front_of(f"{address}/orders?key=secret", SystemClock(), shared=shared) as one:
            got = await one.get()

    assert got.status == 502
    (line,) = told(caplog, "upstream_failed")
    assert (line["address"], line["kind"], line["path"]) == (address, kind, PATH)
    assert json.loads(got.body)["detail"] == line["detail"]
    assert port.encode() not in got.body
    assert not any("secret" in str(value) for value in line.values())


async def test_a_silence_is_told_for_a_request_that_goes_through(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        raw_upstream(b"", silent=True) as (url, _),
        in_front_of(url, SystemClock(), shared=False, timeout_seconds=0.1) as one,
    ):
        assert (await one.get()).status == 504

    (line,) = told(caplog, "upstream_failed")
    assert line["kind"] == "timeout"


async def test_an_answer_that_ends_early_is_told_of_once_however_many_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf"
    async with raw_upstream(half) as (url, _), in_front_of(url, SystemClock(), shared=False) as one:
        for _ in range(3):
            with pytest.raises(Exception, match="payload"):
                await one.get()
        assert one.source.counters[PATH].broken_off == 3

    (line,) = told(caplog, "upstream_failed")
    assert line["kind"] == "cut_off"


class UnreachableLog(MemoryLog):
    """A memory log that takes nothing."""

    async def append(self, events: Sequence[Event]) -> Appended:
        raise LogError("The log is out of reach.")


class Held:
    """A route whose changes the log does not take."""

    def __init__(self, url: str) -> None:
        self.clock = ManualClock()
        self.log_outage = Outage(logging.getLogger("t"), "log", now=self.clock.monotonic)
        log = UnreachableLog(self.clock, max_events=9, max_age_seconds=1e9, max_bytes=2**20)
        route = legacy_route(upstream=url, interval_seconds=3600.0, write_poll_seconds=0.0)
        self.source = UpstreamSource(
            [route], log, lambda entity: False, self.clock, log_outage=self.log_outage
        )
        poller = self.source.poller(route)
        assert poller is not None
        self.poller: Poller = poller

    async def poll(self) -> None:
        self.poller.written()
        await self.poller.answer()


async def test_while_the_log_is_out_of_reach_pollers_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with upstream() as backend:
        held = Held(backend.url)
        await held.source.start()
        try:
            await held.poll()
            backend.says(listed(order("A")))
            await held.poll()
            held.log_outage.failed()
            for _ in range(3):
                held.clock.advance(REMINDER_SECONDS)
                await held.poll()
            assert held.source.counters[PATH].failures == {"log": 4}
            assert [
                record.getMessage() for record in caplog.records if record.name.startswith("adapters")
            ] == []

            # The node follows the log, which takes nothing from here all the same.
            held.log_outage.over()
            for _ in range(4):
                held.clock.advance(REMINDER_SECONDS / 2)
                await held.poll()
            assert [line["path"] for line in told(caplog, "upstream_held_up")] == [PATH, PATH]
        finally:
            await held.source.close()
