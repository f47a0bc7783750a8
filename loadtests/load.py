"""A short run of Locust on a gateway of its own, with the demo's orders application behind it.

    python loadtests/load.py                            about 45 s: 60 users, ramp, storm and flag rollout
    python loadtests/load.py --users 200 --seconds 120
    python loadtests/load.py --plan storm StreamUser Publisher

What it does not know goes to Locust and loadtests/locustfile.py: --plan (some of ramp,storm,rollout), the
thresholds --max-lag-p99-ms, --max-failures and --max-resets, and names of user classes. It writes
loadtests/results/load-DATE.html. Exit codes: 0 good; 1 a threshold is broken, which standard error says, or a
server does not start or falls; 2 the options do not allow the run.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

# `python loadtests/load.py` puts loadtests itself on the path, not the directory that holds the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests.bench import UsageError, raise_descriptor_limit
from loadtests.crowd import Address, RunFailedError
from loadtests.server import Server, backend, gateway

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
CONFIG = HERE / "load.toml"
UPSTREAM = "127.0.0.1:9000"
ORDERS, SIMULATE_EVERY_SECONDS = 50, 3.0
# Beyond the run's own time: Locust's start, its users' end, and the report.
SPARE_SECONDS = 60.0
STOP_SECONDS = 5.0
FAILED, REFUSED = 1, 2


def parse(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """The options, and those for Locust."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("-u", "--users", type=int, default=60, help="at most so many at once (60)")
    parser.add_argument(
        "-t", "--run-time", "--seconds", dest="seconds", type=_seconds, default=40, help="of the run (40)"
    )
    parser.add_argument(
        "--report", type=Path, help="where the report goes (loadtests/results/load-DATE.html)"
    )
    options, others = parser.parse_known_args(arguments)
    if options.report is not None:
        options.report = options.report.resolve()
    return options, others


def _seconds(text: str) -> int:
    """A number of seconds, written as Locust's own option has it too: `60s`."""
    return int(text.removesuffix("s"))


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
                # Time to write its report; then it has to go.
                locust.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    locust.wait(STOP_SECONDS)
                locust.kill()


def run(options: argparse.Namespace, others: Sequence[str]) -> int:
    """Starts the servers, loads them, ends them; gives the exit code."""
    RESULTS.mkdir(exist_ok=True)
    raise_descriptor_limit(options.users)
    report = options.report or RESULTS / f"load-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.html"
    core = choose_cores()
    with (
        Server(backend(ORDERS, SIMULATE_EVERY_SECONDS), core) as upstream,
        Server(gateway(configuration(upstream.address)), core) as server,
    ):
        code = run_locust(server.address, options, others, report)
        for one in (upstream, server):
            one.refuse_fallen()
    if report.exists():
        print(f"Report: {report}", file=sys.stderr)
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's text for the exit codes."""
    # As an exception, so that the servers are ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return run(*parse(arguments))
    except UsageError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except RunFailedError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("Interrupted; the servers are ended.", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
