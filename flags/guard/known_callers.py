"""How each caller of a side has fared over windows, by one metric: a mean for each caller. Pure.

A caller's mean is the share of the windows in which it was counted that went badly. Each caller has the same
weight, however long it stays: one that fell back for good, and is counted in one window only, weighs as much
as one whose stream went well for hours.
"""

import base64
import binascii
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Self

from flags.guard.callers import SAMPLED, is_sampled
from flags.guard.confidence import Arm

MOST_CALLERS = 2 * SAMPLED
"""Of a side, over all windows: callers come and go. Beyond it every other one is forgotten."""
MOST_WINDOWS = 0xFFFF
"""In which a caller is counted: that is half a year of windows of five minutes."""


@dataclass(slots=True)
class KnownCallers:
    """Not to be changed. By number in how many windows a caller was counted, and how many went badly.

    `bad` is the sum of the callers' means.
    """

    windows: dict[int, tuple[int, int]] = field(default_factory=dict)
    bad: float = 0.0

    @classmethod
    def having(cls, windows: dict[int, tuple[int, int]]) -> Self:
        """These callers."""
        return cls(windows, sum(bad / count for count, bad in windows.values() if bad))

    def arm(self, fared: Mapping[int, bool]) -> Arm:
        """One value a caller, with one more window in which these callers fared badly or not."""
        bad, values = self.bad, len(self.windows)
        for number, is_bad in fared.items():
            count, before = self.windows.get(number, (0, 0))
            if not count:
                values += 1
                bad += is_bad
            elif is_bad or before:
                bad += (before + is_bad) / (count + 1) - before / count
        return Arm(min(max(0.0, bad), float(values)), float(values))

    def with_window(self, fared: Mapping[int, bool]) -> Self:
        """The same with one more window that is over."""
        windows = dict(self.windows)
        for number, is_bad in fared.items():
            count, bad = windows.get(number, (0, 0))
            if count < MOST_WINDOWS:
                windows[number] = count + 1, bad + is_bad
        return self.having(windows)

    def sampled(self, level: int) -> Self:
        """Those who are among the sample of this level."""
        return self.having(
            {number: counts for number, counts in self.windows.items() if is_sampled(number, level)}
        )


def packed(known: Sequence[KnownCallers]) -> str:
    """The callers of a side by each metric, as text: of most there is something to say by all."""
    row = _row(len(known))
    numbers = dict.fromkeys(chain.from_iterable(one.windows for one in known))
    rows = (
        row.pack(number.to_bytes(5), *chain.from_iterable(one.windows.get(number, (0, 0)) for one in known))
        for number in numbers
    )
    return base64.b64encode(b"".join(rows)).decode()


def unpacked(text: str, metrics: int) -> list[KnownCallers]:
    """What `packed` made of so many. Raises ValueError where it did not."""
    row = _row(metrics)
    found: list[dict[int, tuple[int, int]]] = [{} for _ in range(metrics)]
    try:
        data = base64.b64decode(text, validate=True)
        if len(data) > metrics * MOST_CALLERS * row.size:
            raise ValueError("these are too many callers")
        for number, *counts in row.iter_unpack(data):
            for windows, (count, bad) in zip(found, zip(counts[::2], counts[1::2], strict=True), strict=True):
                if bad > count:
                    raise ValueError("a caller's bad windows are some of its windows")
                if count:
                    windows[int.from_bytes(number)] = count, bad
    except (TypeError, struct.error, binascii.Error) as error:
        raise ValueError(f"these are no callers: {error!r}") from error
    return [KnownCallers.having(windows) for windows in found]


def _row(metrics: int) -> struct.Struct:
    return struct.Struct(f">5s{2 * metrics}H")
