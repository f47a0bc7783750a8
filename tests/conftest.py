"""Shared fixtures, and how hard hypothesis looks.

TIDEGATE_HYPOTHESIS_PROFILE is `quick`, the same examples each time, or `thorough`, other ones each time
(`make test-thorough`); TIDEGATE_HYPOTHESIS_EXAMPLES says of how many a thorough look consists.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.support.clock import ManualClock
from tests.support.debian import install_all
from tests.support.scheduler import ManualScheduler
from tests.support.signals import pass_no_ignored_signals_on

pass_no_ignored_signals_on()

# A slow machine must not fail a test that only takes its time.
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", derandomize=True, max_examples=50, **_COMMON)
settings.register_profile(
    "thorough", max_examples=int(os.environ.get("TIDEGATE_HYPOTHESIS_EXAMPLES", "1000")), **_COMMON
)
settings.load_profile(os.environ.get("TIDEGATE_HYPOTHESIS_PROFILE", "quick"))


def pytest_configure(config: pytest.Config) -> None:
    """Has everything installed before there are several processes, each of which would do so by itself."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        install_all()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def scheduler(clock: ManualClock) -> ManualScheduler:
    return ManualScheduler(clock)
