"""What a run does at which second: how many users, which share of them the flag lets stream, when streams are
cut. Pure; loadtests/shapes.py carries it out.
"""

from dataclasses import dataclass

MAX_USERS = 2_000
MIN_SECONDS = 5
MAX_SECONDS = 900
PARTS = ("ramp", "storm", "rollout")
# At the end nothing is published any more, so that every reader can have everything when it is asked.
QUIET_SECONDS = 3.0
RAMP_STEPS = 5
RAMP_SHARE = 0.4
STORMS_AT = (0.45, 0.7)
# 0 to 100 % and back: percentages, each for an equal share of the time.
ROLLOUT = (0, 10, 50, 100, 50, 10, 0)


class PlanError(ValueError):
    """The run can't be done as asked; the message is for people."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run of so many seconds with at most so many users; `parts` are some of PARTS, combined.

    `ramp`: the users come in five steps over the first 40 % of the time, else all at once. `storm`: twice
    all streams are cut at one moment. `rollout`: the flag's percentage goes from 0 to 100 and back. Raises
    PlanError beyond 2,000 users or 900 s, below one user or 5 s, and for a part that is none.
    """

    users: int
    seconds: float
    parts: frozenset[str]

    def __post_init__(self) -> None:
        if not 1 <= self.users <= MAX_USERS:
            raise PlanError(f"A run takes 1 to {MAX_USERS:,} users, not {self.users:,}.")
        if not MIN_SECONDS <= self.seconds <= MAX_SECONDS:
            raise PlanError(f"A run takes {MIN_SECONDS} to {MAX_SECONDS} seconds, not {self.seconds:g}.")
        if unknown := self.parts.difference(PARTS):
            raise PlanError(
                f"A run is made of {', '.join(PARTS)}; there is no {', no '.join(sorted(unknown))}."
            )

    def users_at(self, second: float) -> int | None:
        """How many users there are to be; None once the run is over."""
        if second >= self.seconds:
            return None
        if "ramp" not in self.parts:
            return self.users
        step = int(second / (self.seconds * RAMP_SHARE) * RAMP_STEPS) + 1
        return max(1, self.users * min(step, RAMP_STEPS) // RAMP_STEPS)

    def storms_by(self, second: float) -> int:
        """How many times all streams have been cut by then."""
        if "storm" not in self.parts:
            return 0
        return sum(second >= share * self.seconds for share in STORMS_AT)

    def percentage_at(self, second: float) -> int | None:
        """The flag's percentage; None where this plan leaves the flag alone."""
        if "rollout" not in self.parts:
            return None
        step = int(second / self.seconds * len(ROLLOUT))
        return ROLLOUT[min(step, len(ROLLOUT) - 1)]

    def is_publishing(self, second: float) -> bool:
        """Whether events are published then."""
        return second < self.seconds - QUIET_SECONDS


def parse_parts(text: str) -> frozenset[str]:
    """The parts of a list with commas; "" for none."""
    return frozenset(part for part in text.split(",") if part)
