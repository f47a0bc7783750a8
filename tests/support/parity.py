"""A gateway that compares push with polling, an orders backend behind it, and time that a test turns."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from flags.parity.report import ParityReport
from gateway.migration.parity_lane import MOST_ANSWERS
from tests.support.admin import ORDERS
from tests.support.api import Client, eventually
from tests.support.clock import ManualClock
from tests.support.gateway import GatewayThread, make_settings
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.migration import Migration
from tests.support.upstream import Upstream, upstream

SETTLE = 2.0
INTERVAL = 0.01
PARITY = f"{ORDERS}/parity"
NEVER = 1_000_000
"""A check ratio with which no answer has its turn again: only those that settle something are compared."""


class Comparison:
    """Component `orders`: a backend's list that the gateway polls, and a publisher that may go wrong.

    The gateway's clock stands still until a test advances it; its upstream is polled all the while.
    """

    def __init__(self, gateway: GatewayThread, backend: Upstream, clock: ManualClock, path: Path) -> None:
        self.gateway = gateway
        self.backend = backend
        self.clock = clock
        self.client = Client(gateway.port)
        self.change_flag = Migration(gateway, backend, path).change
        self._orders: dict[str, dict[str, Any]] = {}

    def has(self, key: str, **members: Any) -> None:
        """From now on the backend lists the order so, and no other way."""
        self._orders[key] = order(key, **members)
        self.backend.says(listed(*self._orders.values()))

    def loses(self, key: str) -> None:
        """From now on the backend does not list the order."""
        del self._orders[key]
        self.backend.says(listed(*self._orders.values()))

    async def push(self, key: str, *, action: str = "update", event: str = "changed", **members: Any) -> None:
        """Publishes an event of the order; `data` is what the backend lists, unless a test gives another."""
        if action != "delete":
            members.setdefault("data", self._orders[key])
        await self.client.publish(
            {"eventType": event, "entityType": "order", "entityId": key, "action": action, **members}
        )

    def report(self) -> ParityReport:
        report = self.gateway.call(lambda: self.gateway.parts.migration.parity.report("orders"))
        assert report is not None
        return report

    def outcomes(self) -> dict[str, int]:
        """The outcomes that say anything."""
        counts = {outcome.value: count for outcome, count in self.report().outcomes.items() if count}
        counts.pop("incomparable", None)
        return counts

    async def becomes(self, holds: Callable[[ParityReport], bool], what: str) -> None:
        async def held() -> bool:
            return holds(self.report())

        await eventually(held, what)

    async def compared(self) -> None:
        """Somebody polls; then answers are compared that were asked for only now: one in one is."""
        assert (await self.client.get(PATH)).status == 200
        enough = self.report().samples + MOST_ANSWERS + 3
        await self.becomes(lambda report: report.samples >= enough, f"{enough} samples")

    async def settle(self) -> None:
        """Lets a settle window pass, and has answers of after it compared."""
        self.clock.advance(SETTLE + 0.1)
        await self.compared()

    async def begin(self, stage: str = "shadow", **members: Any) -> None:
        """Makes the flag, and compares until all that the backend lists has its first state."""
        await self.change_flag(stage=stage, checkRatio=1, **members)
        await self.compared()
        await self.settle()

    @asynccontextmanager
    async def unseen(self) -> AsyncIterator[None]:
        """What happens within is over before the next answer that is compared is asked for."""
        await self.compare_no_more()
        yield
        await self.backend.asked_again(3)
        await self.change_flag(checkRatio=1)

    async def compare_no_more(self) -> None:
        """From here on only answers that settle something are compared, and none that was taken before.

        The first one under a new ratio still has its turn. It was answered once a third is asked for, and is
        compared when the gateway comes to it: only then may a test change what it would be compared with.
        """
        await self.change_flag(checkRatio=NEVER)
        await self.backend.asked_again(3)

        async def all_compared() -> bool:
            lanes = self.gateway.parts.migration.parity.lanes
            return self.gateway.call(lambda: all(lane.backlog == 0 for lane in lanes))

        await eventually(all_compared, "what was taken is compared")

    async def settle_once(self) -> None:
        """Lets settle windows pass until nothing is pending; only answers that settle something are compared.

        More than one, where the difference began anew with an event.
        """
        await self.compare_no_more()
        for _ in range(3):
            before = self.report().samples
            self.clock.advance(SETTLE + 0.1)
            assert (await self.client.get(PATH)).status == 200
            await self.becomes(lambda report, before=before: report.samples > before, "one more sample")
            if not self.report().pending:
                break
        assert self.report().pending == 0
        await self.backend.asked_again(5)


@asynccontextmanager
async def a_comparison(
    start_gateway: Callable[..., GatewayThread], directory: Path, *, parity: Any = None, **route: Any
) -> AsyncIterator[Comparison]:
    """Orders A and B, `open`; no flag is there yet. `parity` and `route` are settings of the legacy route."""
    clock = ManualClock()
    async with upstream() as backend:
        path = directory / "flags.json"
        settings = make_settings(
            flags={"store": f"file:{path}"},
            legacy=[_route(backend.url) | {"parity": {"settle_seconds": SETTLE} | (parity or {})} | route],
        )
        comparison = Comparison(start_gateway(settings, clock=clock), backend, clock, path)
        for key in ("A", "B"):
            comparison.has(key, orderStage="open")
        yield comparison


def _route(url: str) -> dict[str, Any]:
    return route_settings(url, INTERVAL, events="external", changes={"orderStage": "stage_change"})
