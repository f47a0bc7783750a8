"""A short run of Locust on a gateway of its own, with the demo's orders application behind it.

    python loadtests/load.py                            about 45 s: 60 users, ramp, storm and flag rollout
    python loadtests/load.py --users 200 --seconds 120
    python loadtests/load.py --plan storm StreamUser Publisher

What it does not know goes to Locust. It writes loadtests/results/load-DATE.html. Exit codes are the ones of
loadtests/locustfile.py; 1 too where a server does not start.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

# `python loadtests/load.py` puts loadtests itself on the path, not the directory that holds the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests.crowd import Address, RunFailedError
from loadtests.server import Server, backend, gateway

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
CONFIG = HERE / "load.toml"
UPSTREAM = "127.0.0.1:9000"
ORDERS, SIMULATE_EVERY_SECONDS = 50, 3.0
# Beyond the run's own time: Locust's start, its users' end, and the report.
SPARE_SECONDS = 60.0
FAILED = 1


def parse(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """The options, and those for Locust."""
    parser = argparse.ArgumentParser(description="A short run of Locust on a gateway of its own.")
    parser.add_argument("--users", type=int, default=60, help="at most so many at once (60)")
    parser.add_argument("--seconds", type=int, default=40, help="how long the run takes (40)")
    parser.add_argument(
        "--report", type=Path, help="where the report goes (loadtests/results/load-DATE.html)"
    )
    return parser.parse_known_args(arguments)


def configuration(upstream: Address) -> str:
    """loadtests/load.toml with the upstream's address in it."""
    return CONFIG.read_text().replace(UPSTREAM, f"{upstream.host}:{upstream.port}")


def choose_cores() -> int:
    """The servers' core; this process and Locust take the others, where there are any."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[1:])
    return cores[0]


def run_locust(gateway: Address, options: argparse.Namespace, others: Sequence[str], report: Path) -> int:
    """Runs Locust to its end; gives its exit code."""
    command = [
        *(sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py"), "--headless", "--only-summary"),
        *("--host", f"http://{gateway.host}:{gateway.port}", "--users", str(options.users)),
        *("--run-time", str(options.seconds), "--html", str(report), *others),
    ]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=HERE.parent) as locust:
        try:
            return locust.wait(options.seconds + SPARE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise RunFailedError(f"Locust did not end after {error.timeout:.0f} s") from error
        finally:
            if locust.poll() is None:
                locust.kill()


def run(options: argparse.Namespace, others: Sequence[str]) -> int:
    """Starts the servers, loads them, ends them; gives the exit code."""
    RESULTS.mkdir(exist_ok=True)
    report = options.report or RESULTS / f"load-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.html"
    core = choose_cores()
    with (
        Server(backend(ORDERS, SIMULATE_EVERY_SECONDS), core) as upstream,
        Server(gateway(configuration(upstream.address)), core) as server,
    ):
        code = run_locust(server.address, options, others, report)
    if report.exists():
        print(f"Report: {report}", file=sys.stderr)
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's text for the exit codes."""
    # As an exception, so that the servers are ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return run(*parse(arguments))
    except RunFailedError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("Interrupted; the servers are ended.", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
