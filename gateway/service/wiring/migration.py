"""What a migration is judged by, and who judges: what the flags and `[components]` come to."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from adapters.upstream import UpstreamSource
from flags.guard.telemetry import Telemetry
from flags.guard.token_bucket import ClientLimits, Rate
from flags.store.port import FlagStore
from gateway.migration.guard_acts import Acted
from gateway.migration.guard_loop import GuardLoop
from gateway.migration.guard_sums import JUDGED, TALLIES, GuardSums
from gateway.migration.guard_windows import GuardWindows, guard_settings
from gateway.migration.node_summaries import NodeSummaries
from gateway.migration.node_sums import Maker, SumsOfNode
from gateway.migration.parity_sampler import ParitySampler
from gateway.migration.poll_inventory import PollInventory
from gateway.migration.shared_reports import ReportsIn, ReportsOut, tell_of
from gateway.migration.stream_evidence import StreamEvidence
from gateway.ports.clock import Clock
from gateway.ports.legacy_route import LegacyRoute
from gateway.runtime.latencies import Latencies
from gateway.runtime.node_topics import REPORTS
from gateway.runtime.supervisor import Supervisor
from gateway.service.settings import Settings
from gateway.service.wiring.entities import owned_types
from gateway.service.wiring.parity import make_parity
from gateway.service.wiring.stored import Stored
from gateway.service.wiring.summaries import make_summaries

REPORTS_EACH = Rate(per_second=20, burst=100)
"""What one address may report: one report a stream, but many clients may share an address."""
REPORTS_TOTAL = Rate(per_second=500, burst=2000)
MOST_REPORTERS = 10_000


@dataclass(frozen=True, slots=True)
class Migration:
    """The guard, and whatever it judges by.

    `reported` is to hear the names of software that reports; `reports_in` hears the other nodes, and is None
    where there are none.
    """

    windows: GuardWindows
    telemetry: Telemetry
    evidence: StreamEvidence
    latencies: Latencies
    poll_inventory: PollInventory
    guard_loop: GuardLoop
    guard_sums: GuardSums
    parity: ParitySampler
    summaries: NodeSummaries
    reported: Callable[[Sequence[str], str], None]
    reports_in: ReportsIn | None

    def grown(self) -> None:
        """The history has grown, or begun anew: what is compared and what pollers see goes by it."""
        self.parity.wake()
        self.evidence.grown()

    def start(self, supervisor: Supervisor) -> None:
        """Compares and judges from now on, until the supervisor is closed."""
        if self.parity.lanes:
            supervisor.run("parity", self.parity.run)
            supervisor.run("parity leases", self.parity.keep_leases)
        supervisor.run("guard", self.guard_loop.run)
        supervisor.run("node_summaries", self.summaries.run)


def make_migration(
    settings: Settings,
    clock: Clock,
    stored: Stored,
    upstreams: UpstreamSource,
    flags: FlagStore,
    acted: Acted,
) -> Migration:
    """The guard and what it judges by, listening to the flags.

    `acted` hears of what the guard did. `evidence` is to hear of the hub's streams, `parity` of the history's
    growth.
    """
    owned = owned_types(settings)
    windows = GuardWindows(guard_settings(flags.snapshot, owned))
    limits = ClientLimits(REPORTS_EACH, REPORTS_TOTAL, MOST_REPORTERS, clock.monotonic())
    topic = None if stored.node_topics is None else stored.node_topics.topic(REPORTS)
    out = None if topic is None else ReportsOut(topic, clock)
    telemetry = Telemetry(windows, windows.knows, limits, forward=None if out is None else out.forward)
    reports_in = None if topic is None else ReportsIn(telemetry, telemetry.reporters, clock)
    if topic is not None and reports_in is not None:
        topic.listen(reports_in.heard)
    latencies = Latencies()
    evidence = StreamEvidence(windows, telemetry, owned, clock, latencies.written, stored.history)
    poll_inventory = PollInventory(windows.knows, upstreams.requests_of)
    makers: dict[str, Maker] = {}
    summaries = make_summaries(clock, stored, flags.snapshot, makers)
    guard_sums = GuardSums(summaries)
    guard_loop = GuardLoop(
        *(flags, windows, evidence, poll_inventory, clock, _compared(upstreams.routes)),
        *(guard_sums, upstreams.polls_of, acted),
    )
    flags.subscribe(guard_loop.changed)
    parity = make_parity(
        settings, upstreams, stored.history, flags, windows, clock, stored.slices, stored.leases
    )
    makers |= {
        "sums": SumsOfNode(poll_inventory, telemetry, parity, clock),
        TALLIES: guard_loop.tallies,
        JUDGED: guard_loop.judged,
    }
    return Migration(
        *(windows, telemetry, evidence, latencies, poll_inventory, guard_loop, guard_sums, parity),
        *(summaries, tell_of(telemetry.reporters, out), reports_in),
    )


def _compared(routes: Iterable[LegacyRoute]) -> set[str]:
    """The components whose push has another source than the polled answers it can be compared with."""
    return {route.component for route in routes if route.shared and route.events == "external"}
