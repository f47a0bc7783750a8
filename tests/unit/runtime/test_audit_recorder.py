"""gateway/runtime/audit_recorder.py: nobody waits for the trail, and what of it is lost is told."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from gateway.core.errors import LogError
from gateway.ports.audit import AuditQuery
from gateway.runtime.audit_recorder import (
    BATCH,
    MAX_WAITING,
    TRIM_EVERY,
    AuditRecorder,
    RecorderTiming,
    Refused,
)
from gateway.runtime.repeats import WINDOW_SECONDS
from tests.support.audit_store import ShakyAudit
from tests.support.clock import ManualClock

AT_ONCE = RecorderTiming(pause_seconds=0.0, longest_retry_seconds=0.0)
REFUSED = Refused("192.0.2.1", "invalid-token", "It has expired.")


class Told:
    """An outage that keeps what it was told."""

    def __init__(self) -> None:
        self.failures = 0
        self.ends = 0

    def failed(self, **fields: Any) -> None:
        self.failures += 1

    def over(self, **fields: Any) -> None:
        self.ends += 1


async def becomes(holds: Callable[[], bool]) -> None:
    """Returns once `holds()`, which work that goes on brings about."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - it has no event of its own
            await asyncio.sleep(0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> ShakyAudit:
    return ShakyAudit(clock)


@pytest.fixture
def recorder(store: ShakyAudit, clock: ManualClock) -> AuditRecorder:
    return AuditRecorder(store, clock, Told())


async def entries(recorder: AuditRecorder, limit: int = 100) -> list[dict[str, Any]]:
    return [orjson.loads(entry.body) for entry in await recorder.read(AuditQuery(limit))]


async def test_what_was_taken_before_is_read_in_its_order(recorder: AuditRecorder) -> None:
    for number in range(12):
        recorder.add("publish", "ana", {"number": number})

    found = await entries(recorder)

    assert [entry["number"] for entry in found] == list(range(11, -1, -1))
    assert found[0].keys() == {"id", "at", "kind", "who", "number"}
    assert recorder.waiting == 0


async def test_entries_are_written_in_batches(recorder: AuditRecorder, store: ShakyAudit) -> None:
    for number in range(BATCH + 1):
        recorder.add("publish", "ana", {"number": number})

    await recorder.flush()

    assert store.batches == [BATCH, 1]


async def test_refusals_alike_are_told_once_and_then_counted(
    recorder: AuditRecorder, clock: ManualClock
) -> None:
    for _ in range(5):
        recorder.add_refused(REFUSED, "", {**REFUSED._asdict(), "requestId": "r"})
    await recorder.flush()
    assert recorder.recorded["auth"] == 1

    clock.advance(WINDOW_SECONDS)
    await recorder.flush()

    counted, first = await entries(recorder)
    assert (first["count"], first["requestId"]) == (1, "r")
    assert counted == {**REFUSED._asdict(), "count": 4} | {
        name: counted[name] for name in ("id", "at", "kind", "who")
    }


async def test_an_outage_keeps_what_it_can_and_counts_the_rest(
    recorder: AuditRecorder, store: ShakyAudit, caplog: pytest.LogCaptureFixture
) -> None:
    store.is_away = True
    for number in range(MAX_WAITING + 5):
        recorder.add("publish", "ana", {"number": number})
    recorder.add("admin", "ana", {"number": -1})
    with pytest.raises(LogError):
        await recorder.flush()
    assert recorder.lost == {"publish": 5, "admin": 0, "auth": 0}
    assert caplog.messages.count("audit_lost") == 1

    store.is_away = False
    await recorder.flush()

    assert recorder.waiting == 0
    assert sum(store.batches) == MAX_WAITING + 1


async def test_a_further_outage_that_loses_entries_is_told_again(
    recorder: AuditRecorder, store: ShakyAudit, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        for _ in range(MAX_WAITING + 2):
            recorder.add("publish", "ana", {})
        await recorder.flush()

    assert caplog.messages.count("audit_lost") == 2


async def test_who_reads_during_an_outage_is_told_so(recorder: AuditRecorder, store: ShakyAudit) -> None:
    recorder.add("publish", "ana", {})
    store.is_away = True

    with pytest.raises(LogError):
        await recorder.read(AuditQuery(1))


async def test_who_reads_does_not_wait_for_a_store_that_hangs(store: ShakyAudit, clock: ManualClock) -> None:
    recorder = AuditRecorder(store, clock, Told(), RecorderTiming(read_seconds=0.0))
    recorder.add("publish", "ana", {})
    store.hangs = True

    with pytest.raises(LogError):
        await recorder.read(AuditQuery(1))

    assert recorder.waiting == 1


async def test_what_waits_at_the_end_is_written(recorder: AuditRecorder, store: ShakyAudit) -> None:
    recorder.add("publish", "ana", {})
    recorder.add_refused(REFUSED, "", {})
    recorder.add_refused(REFUSED, "", {})

    await recorder.close()

    assert len(await store.read(AuditQuery(10))) == 3
    assert store.is_closed


async def test_what_could_not_be_written_at_the_end_is_told(
    recorder: AuditRecorder, store: ShakyAudit, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.add("publish", "ana", {})
    store.is_away = True

    await recorder.close()

    assert recorder.lost["publish"] == 1
    assert caplog.messages == ["audit_lost"]
    assert store.is_closed


async def test_it_writes_and_trims_by_itself(store: ShakyAudit, clock: ManualClock) -> None:
    recorder = AuditRecorder(store, clock, Told(), AT_ONCE)
    for _ in range(TRIM_EVERY):
        recorder.add("publish", "ana", {})
    task = asyncio.ensure_future(recorder.run())
    await becomes(lambda: store.trims > 0)
    task.cancel()

    assert recorder.waiting == 0
    assert store.trims == 1


async def test_it_goes_on_after_an_outage_and_tells_of_it(store: ShakyAudit, clock: ManualClock) -> None:
    told = Told()
    recorder = AuditRecorder(store, clock, told, AT_ONCE)
    store.is_away = True
    recorder.add("publish", "ana", {})
    task = asyncio.ensure_future(recorder.run())
    await becomes(lambda: told.failures >= 3)
    store.is_away = False
    await becomes(lambda: not recorder.waiting)
    task.cancel()

    assert told.ends == 1
    assert recorder.lost.total() == 0
