"""Locust's view of the gateway: clients that stream, that poll as ever, and that migrate.

    make load                                               a short run on a gateway of its own, with a report
    locust -f loadtests/locustfile.py --headless --host http://127.0.0.1:8080 -u 200 -t 60s
    locust -f loadtests/locustfile.py --host http://127.0.0.1:8080 StreamUser Publisher

The gateway needs the routes and components of loadtests/load.toml. Every run follows a plan (--plan), and is
over by itself. Locust's charts show all rows together, its table each by itself. Exit codes: 0 good; 1 a
threshold is broken, which standard error says; 2 the options do not allow the run.
"""

import math
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

# Locust puts loadtests itself on the path, not the directory that holds the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from locust import events
from locust.env import Environment
from locust.runners import LocalRunner

from loadtests.board import board_of
from loadtests.figures import figures_of
from loadtests.plans import PARTS, Plan, PlanError, parse_parts
from loadtests.reader import NotLoopbackError, address_of
from loadtests.shapes import PlannedShape
from loadtests.thresholds import Limits, broken, summary
from loadtests.users.legacy import LegacyPoller
from loadtests.users.migrating import MigratingUser
from loadtests.users.publisher import Publisher
from loadtests.users.stream import StreamUser

__all__ = ["LegacyPoller", "MigratingUser", "PlannedShape", "Publisher", "StreamUser"]

USERS, SECONDS = 60, 40
DEFAULTS = Limits()
BROKEN, REFUSED = 1, 2
# Locust's own default is every address of the machine.
WEB_HOST = "127.0.0.1"


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    """The options that are ours, beside Locust's; and its web page is for this machine."""
    parser.set_defaults(web_host=WEB_HOST)
    parser.add_argument(
        "--plan", default=",".join(PARTS), help=f"what happens: some of {', '.join(PARTS)} (all of them)"
    )
    parser.add_argument(
        "--max-lag-p99-ms", type=float, default=DEFAULTS.max_lag_p99_ms, help="of live events (%(default)s)"
    )
    parser.add_argument("--max-failures", type=int, default=DEFAULTS.max_failures, help="(%(default)s)")
    parser.add_argument("--max-resets", type=int, default=DEFAULTS.max_resets, help="(%(default)s)")


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:
    """Makes the plan of the options; ends the process with 2 where they allow none."""
    options = environment.parsed_options
    try:
        if not isinstance(environment.runner, LocalRunner):
            raise PlanError("A run takes one process: the users compare notes.")
        # In the web interface a host may still be typed in; each user looks again.
        if environment.host:
            address_of(environment.host)
        if not options.headless:
            address_of(f"http://{options.web_host}")
        if math.isnan(options.max_lag_p99_ms):
            raise PlanError("--max-lag-p99-ms takes a number of milliseconds.")
        _set_plan(environment)
    except (NotLoopbackError, PlanError) as error:
        print(error, file=sys.stderr)
        sys.exit(REFUSED)


def _set_plan(environment: Environment) -> None:
    """The plan that the options ask for. Raises PlanError."""
    options, classes = environment.parsed_options, len(environment.user_classes)
    users = USERS if options.num_users is None else options.num_users
    seconds = SECONDS if options.run_time is None else options.run_time
    plan = Plan(users, seconds, parse_parts(options.plan))
    if users < classes:
        raise PlanError(f"A run of {classes} user classes takes at least one user of each, not {users}.")
    assert isinstance(environment.shape_class, PlannedShape)
    environment.shape_class.plan = plan


@events.test_start.add_listener
def begin(environment: Environment, **_: Any) -> None:
    """A run from the web page may be the second one, of another size; out of bounds it is as the last."""
    board_of(environment).begin()
    if not environment.parsed_options.headless:
        try:
            _set_plan(environment)
        except PlanError as error:
            print(error, file=sys.stderr)


@events.quitting.add_listener
def judge(environment: Environment, **_: Any) -> None:
    """Holds what was measured against the limits; that is the exit code."""
    options = environment.parsed_options
    limits = Limits(options.max_failures, options.max_resets, options.max_lag_p99_ms)
    figures = figures_of(environment)
    sentences = broken(figures, limits)
    print(summary(figures, limits), file=sys.stderr)
    for sentence in sentences:
        print(f"FAILED: {sentence}", file=sys.stderr)
    environment.process_exit_code = BROKEN if sentences else 0
