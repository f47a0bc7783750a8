"""A comparison to be driven by hand: events and polled answers of orders, at times that the test gives."""

from typing import Any

import orjson

from flags.parity.canonical import STRICT, ComparisonRules
from flags.parity.comparison import Parity, PolledAnswer
from flags.parity.fold import PushedEvent
from flags.parity.report import ParityReport
from tests.support.steps import finish

SETTLE = 2.0
BASE_AT = 10.0


class Orders:
    """A parity of orders whose fold began at 0; `based` gives it its first states at BASE_AT."""

    def __init__(self, rules: ComparisonRules = STRICT, **settings: Any) -> None:
        self.parity = Parity("order", rules, SETTLE, (0,), 0.0, **settings)
        self._number = 0

    def based(self, **items: dict[str, Any]) -> "Orders":
        self.poll(BASE_AT, **items)
        return self

    def push(
        self,
        at: float,
        key: str,
        data: dict[str, Any] | None,
        *,
        previous: dict[str, Any] | None = None,
        action: str | None = None,
        position: int | None = None,
    ) -> None:
        """An event: a deletion where there is no data, unless `action` says what it is."""
        if position is None:
            self._number += 1
            position = self._number
        action = action or ("delete" if data is None else "update")
        event = PushedEvent((position,), f"order_{action}", key, action, data, previous)
        finish(self.parity.applying(event, at))

    def poll(self, at: float, /, **items: dict[str, Any]) -> None:
        """An answer that was asked for, came and is compared at one moment."""
        self.compare(at, at, at, **items)

    def compare(self, asked_at: float, received_at: float, now: float, /, **items: dict[str, Any]) -> None:
        finish(self.parity.comparing(answer((self._number,), asked_at, received_at, **items), now))

    @property
    def report(self) -> ParityReport:
        return self.parity.report()

    @property
    def counts(self) -> dict[str, int]:
        """The outcomes, less what the base left incomparable."""
        counts = {outcome.value: count for outcome, count in self.report.outcomes.items() if count}
        counts.pop("incomparable", None)
        return counts

    @property
    def reasons(self) -> dict[str, int]:
        return {reason.value: count for reason, count in self.report.incomparable.items()}


def answer(
    cursor: tuple[int, ...], asked_at: float, received_at: float, /, **items: dict[str, Any]
) -> PolledAnswer:
    """An answer with the items by their keys."""
    return PolledAnswer(
        cursor, asked_at, received_at, {key: orjson.dumps(item) for key, item in items.items()}
    )
