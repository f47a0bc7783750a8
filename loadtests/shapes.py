"""Carries out a plan (loadtests/plans.py) as Locust's load shape."""

import time

import gevent
from locust import LoadTestShape
from locust.env import Environment

from loadtests.board import board_of
from loadtests.pilot import PilotError, set_percentage
from loadtests.plans import Plan
from loadtests.reader import DeliveryError, address_of

# Users that begin in one second: enough for a wave, and no more than a core can begin.
SPAWN_RATE = 100.0


class PlannedShape(LoadTestShape):
    """Does what `plan` says of each second; Locust asks once a second. `plan` is set before the run begins.

    Rows of type PLAN: `flag to N %`, timed to the administration's answer, and `storm`, which counts the
    times that all streams were cut.
    """

    use_common_options = True
    plan: Plan

    def __init__(self) -> None:
        super().__init__()
        self._percentage: int | None = None
        self._storms = 0

    def reset_time(self) -> None:
        super().reset_time()
        self._percentage, self._storms = None, 0

    def tick(self) -> tuple[int, float] | None:
        second, plan = self.get_run_time(), self.plan
        assert self.runner is not None
        environment = self.runner.environment
        board = board_of(environment)
        board.is_publishing = plan.is_publishing(second)
        percentage = plan.percentage_at(second)
        if percentage is not None and percentage != self._percentage:
            self._percentage = percentage
            # Not here: the shape must not wait for the gateway.
            gevent.spawn(_move_flag, environment, percentage)
        if plan.storms_by(second) > self._storms:
            self._storms += 1
            board.cut_streams()
            _tell(environment, "storm", 0.0, None)
        users = plan.users_at(second)
        return None if users is None else (users, SPAWN_RATE)


def _move_flag(environment: Environment, percentage: int) -> None:
    began = time.perf_counter()
    failure = None
    try:
        set_percentage(address_of(environment.host or ""), percentage)
    except PilotError as error:
        failure = DeliveryError(str(error))
    _tell(environment, f"flag to {percentage} %", (time.perf_counter() - began) * 1000, failure)


def _tell(environment: Environment, name: str, milliseconds: float, failure: Exception | None) -> None:
    environment.events.request.fire(
        request_type="PLAN",
        name=name,
        response_time=milliseconds,
        response_length=0,
        exception=failure,
        context={},
    )
