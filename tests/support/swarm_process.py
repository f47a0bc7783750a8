"""Users of loadtests/ in a process of their own, for tests/support/swarm.py: Locust patches its process.

    python -m tests.support.swarm_process URL StreamUser=3 LegacyPoller.interval_seconds=0.1

Writes a line of JSON whenever Locust's table has changed, and one with everything at the end. Reads lines:
`cut` breaks all streams, `publish` and `quiet` say whether events are published (at first they are not). The
end of its input ends it.
"""

import json
import sys
from dataclasses import asdict
from typing import Any

import gevent
from gevent.fileobject import FileObject
from locust.env import Environment
from locust.user import User

from loadtests.board import board_of
from loadtests.figures import figures_of
from loadtests.users.legacy import LegacyPoller
from loadtests.users.migrating import MigratingUser
from loadtests.users.publisher import Publisher
from loadtests.users.stream import StreamUser

CLASSES: dict[str, type[User]] = {
    user.__name__: user for user in (LegacyPoller, MigratingUser, Publisher, StreamUser)
}
LOOK_SECONDS = 0.02


def configured(arguments: list[str]) -> list[type[User]]:
    """The users that the arguments ask for, with their numbers and attributes."""
    asked: list[type[User]] = []
    for argument in arguments:
        name, _, value = argument.partition("=")
        name, _, attribute = name.partition(".")
        if attribute:
            setattr(CLASSES[name], attribute, float(value))
        else:
            CLASSES[name].fixed_count = int(value)
            asked.append(CLASSES[name])
    return asked


def rows(environment: Environment) -> dict[str, list[int]]:
    """Requests and failures of each row of Locust's table."""
    return {
        f"{method} {name}": [entry.num_requests, entry.num_failures]
        for (name, method), entry in environment.stats.entries.items()
    }


def say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def report(environment: Environment) -> None:
    """A line for each change, until it is killed."""
    last: dict[str, list[int]] | None = None
    while True:
        if (now := rows(environment)) != last:
            last = now
            say({"rows": now})
        gevent.sleep(LOOK_SECONDS)


def obey(environment: Environment) -> None:
    """Does what the lines say, until there are no more."""
    board = board_of(environment)
    for line in FileObject(sys.stdin.fileno(), "r", closefd=False):
        command = line.strip()
        if command == "cut":
            board.cut_streams()
        else:
            board.is_publishing = command == "publish"


def main(url: str, *arguments: str) -> None:
    """Runs the users until standard input ends."""
    users = configured(list(arguments))
    environment = Environment(user_classes=users, host=url)
    board_of(environment).is_publishing = False
    runner = environment.create_local_runner()
    count = sum(user.fixed_count for user in users)
    runner.start(count, spawn_rate=count)
    reporter = gevent.spawn(report, environment)
    obey(environment)
    reporter.kill()
    runner.quit()
    errors = {
        f"{error.method} {error.name}: {error.error}": error.occurrences for error in runner.errors.values()
    }
    say({"rows": rows(environment), "errors": errors, "figures": asdict(figures_of(environment))})


if __name__ == "__main__":
    main(*sys.argv[1:])
