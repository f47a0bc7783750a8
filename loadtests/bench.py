"""What every benchmark's command line does: cores, descriptors, results, exit codes."""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
# Descriptors for anything but the streams: epoll, lanes, logs, and a second crowd.
SPARE_DESCRIPTORS = 256


class UsageError(Exception):
    """The run can't be done as asked, here; the message is for people."""


def number_list(text: str, option: str) -> list[int]:
    """Numbers with commas between them, ascending, each once; raises UsageError for what is no such list."""
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError as error:
        raise UsageError(f"{option} takes numbers with commas between them, not {text!r}") from error
    if numbers[0] < 1:
        raise UsageError(f"{option} takes numbers from 1")
    return numbers


def descriptors_for(streams: int) -> int:
    """How many open files so many streams need, on either side."""
    return streams + streams // 100 + SPARE_DESCRIPTORS


def allows(streams: int) -> bool:
    """Whether the hard limit of open files is enough for so many streams."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard == resource.RLIM_INFINITY or hard >= descriptors_for(streams)


def raise_descriptor_limit(streams: int) -> None:
    """Takes the hard limit of open files, which the servers inherit; UsageError where it is too low."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if not allows(streams):
        raise UsageError(
            f"{streams:,} clients need {descriptors_for(streams):,} open files, and the hard limit here is "
            f"{hard:,}: raise it (ulimit -Hn), or ask for fewer"
        )


def choose_cores() -> tuple[int, int]:
    """The server's core and the generator's; this process moves to its own."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        print("There is one core only: server and generator share it, times mean little.", file=sys.stderr)
    os.sched_setaffinity(0, {cores[min(1, len(cores) - 1)]})
    return cores[0], cores[min(1, len(cores) - 1)]


def write_json(name: str, date: str, results: Mapping[str, object]) -> Path:
    """Writes the results beside those of earlier runs; gives the path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{date.replace('-', '').replace(':', '')}.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    return path


def exit_code(run: Callable[[], int]) -> int:
    """The code of a run; 2 for a UsageError, which it prints, and 130 where the run was interrupted."""
    # As an exception, so that the servers are ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return run()
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted; the servers are ended.", file=sys.stderr)
        return 128 + signal.SIGINT
