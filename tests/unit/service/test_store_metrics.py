"""gateway/service/store_metrics.py: what /metrics says of the log, of nodes that share, and of the flags."""

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from adapters.memory import MemoryLog
from flags.store.port import FlagStore
from gateway.ports.log import Figure
from gateway.ports.route_counters import SharedCount
from gateway.service.metrics import make_registry
from gateway.service.store_metrics import StoreCollector
from tests.support.awkward_log import AwkwardLog
from tests.support.clock import ManualClock
from tests.support.flags import open_store, write_flags

BOUNDS = {"max_events": 10, "max_age_seconds": 10.0, "max_bytes": 1000}
Shared = Mapping[str, tuple[bool, Mapping[str, int]]]


class FiguredLog(MemoryLog):
    """A log of which there is something to watch."""

    def figures(self) -> list[Figure]:
        return [Figure("depth", "How deep it is.", 2.5), Figure("cuts", "How often it was cut.", 3, True)]

    def warnings(self) -> list[str]:
        return []


def samples(log: MemoryLog, flags: FlagStore, shared: Shared) -> dict[str, float]:
    """The value of each sample by its name, with its labels' values behind it."""
    collector = StoreCollector(log, lambda: shared, flags)
    text = generate_latest(make_registry(collector)).decode()
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_log_that_can_be_watched_shows_its_figures(tmp_path: Path, clock: ManualClock) -> None:
    async with open_store(tmp_path / "flags.json") as flags:
        shown = samples(FiguredLog(clock, **BOUNDS), flags, {})

    assert (shown["tidegate_log_depth"], shown["tidegate_log_cuts_total"]) == (2.5, 3)


async def test_a_log_of_which_there_is_nothing_to_watch_shows_none(tmp_path: Path) -> None:
    async with open_store(tmp_path / "flags.json") as flags:
        shown = samples(AwkwardLog(max_events=10), flags, {})

    assert [name for name in shown if name.startswith("tidegate_log_")] == []


async def test_each_shared_route_shows_who_asks_and_what_came_of_it(
    tmp_path: Path, clock: ManualClock
) -> None:
    shared = {"/a": (True, {"led": 4, "lost": 1}), "/b": (False, {"followed": 7})}
    async with open_store(tmp_path / "flags.json") as flags:
        shown = samples(MemoryLog(clock, **BOUNDS), flags, shared)

    assert {name: value for name, value in shown.items() if "shared" in name and value} == {
        "tidegate_upstream_shared_leading /a": 1,
        "tidegate_upstream_shared_led_total /a": 4,
        "tidegate_upstream_shared_lost_total /a": 1,
        "tidegate_upstream_shared_followed_total /b": 7,
    }


async def test_everything_that_is_counted_of_a_shared_route_is_shown(
    tmp_path: Path, clock: ManualClock
) -> None:
    counts = {name: value for value, name in enumerate(get_args(SharedCount), 1001)}
    async with open_store(tmp_path / "flags.json") as flags:
        shown = samples(MemoryLog(clock, **BOUNDS), flags, {"/a": (True, counts)})

    assert set(counts.values()) <= set(shown.values())


async def test_flags_that_can_not_be_read_any_more_are_stale_and_counted(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "flags.json"
    write_flags(path, {"orders": {"stage": "live"}})
    async with open_store(path) as flags:
        before = samples(MemoryLog(clock, **BOUNDS), flags, {})
        path.write_text("{")
        # What is found so once may be an editor that has not finished.
        await flags.refresh()
        await flags.refresh()
        await flags.refresh()
        after = samples(MemoryLog(clock, **BOUNDS), flags, {})

    assert (before["tidegate_flags"], before["tidegate_flags_stale"]) == (1, 0)
    assert (after["tidegate_flags"], after["tidegate_flags_stale"]) == (1, 1)
    assert after["tidegate_flags_events_total flags_file_failed"] == 1
