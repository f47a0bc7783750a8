"""Measures the gateway side by side with what else a team would pick, in one run.

    python loadtests/peers.py                  20 to 30 minutes: 1,000, 8,000 and, where descriptors allow,
                                               16,000 streams
    python loadtests/peers.py --quick          a minute or two, for a first look
    python loadtests/peers.py --only gateway,nchan --streams 8000 --rounds 5

Peers: nginx with nchan, Node's better-sse, sse-starlette on uvicorn, the aiohttp-sse baseline; a bare aiohttp
handler for connecting; and that and nginx's proxy_cache for plain answers. One that is not here is installed
into loadtests/results/peers, or named as missing with the reason. Every server has one core, this process
another; every stream checks that it gets every event once and in order. Exit codes: 0 measured (whether the
targets are met or not); 1 a server lost, doubled or reordered an event, or failed; 2 the options or the
machine's limits do not allow the run. What an interrupted run has measured is printed, and its code is 130.
"""

import argparse
import gc
import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

# `python loadtests/peers.py` puts loadtests itself on the path, not the directory that holds the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests import bench
from loadtests.answers import BROWSERS, CONNECTIONS, NGINX, measure_answers
from loadtests.browsers import fields_of
from loadtests.cohort import PERCENTAGE
from loadtests.crowd import RunFailedError
from loadtests.dialect import Dialect
from loadtests.measure import LANES
from loadtests.peer_measure import BURST_EVENTS, EVENT_BYTES, LOADS, Amounts, measure_peer
from loadtests.peer_report import PeerReport, as_markdown
from loadtests.peer_servers import better_sse, nchan, starlette_sse
from loadtests.peer_servers.peer import MissingError, Peer
from loadtests.progress import Progress
from loadtests.report import describe_machine
from loadtests.server import KINDS, python_server

INSTALLED = bench.RESULTS / "peers"
_BARE_SCRIPT = Path(__file__).parent / "peer_servers" / "bare_aiohttp.py"
BARE = python_server("bare aiohttp", _BARE_SCRIPT, dialect=Dialect(greets=False))
BARE_KINDS = {
    BARE.name: BARE,
    "bare-browsers": python_server(
        "bare-browsers", _BARE_SCRIPT, dialect=Dialect(greets=False, stream_fields=fields_of)
    ),
}
REQUESTS = 8_000
# In the order of a round; every second round goes backwards. The streams of `gateway-compact` want no more of
# events than their data. `gateway-flag` has a flag that it decides for each stream, by a client id of its
# own, and `gateway-flag-jwt` asks for a token as well; of `-browsers` each has header fields of its own.
NAMES = (
    *("gateway", "gateway-compact", "gateway-flag", "gateway-flag-browsers", "gateway-flag-jwt"),
    *("nchan", "better-sse", "sse-starlette", "baseline", "bare aiohttp", "bare-browsers"),
)
INSTALLERS: dict[str, Callable[[Path], Peer]] = {
    "nchan": nchan.prepare,
    "better-sse": better_sse.prepare,
    "sse-starlette": starlette_sse.prepare,
}
MORE_STREAMS = 16_000
# The targets are about fewer streams than those.
ROUNDS, ROUNDS_OF_MORE = 3, 1

FULL = Amounts(
    single_deliveries=160_000,
    burst_deliveries=160_000,
    full_deliveries={
        "gateway": 16_000_000,
        "gateway-compact": 16_000_000,
        "nchan": 2_000_000,
        "better-sse": 600_000,
        "sse-starlette": 300_000,
        "baseline": 300_000,
    },
    publish_seconds=8.0,
)
QUICK = Amounts(
    single_deliveries=20_000,
    burst_deliveries=20_000,
    full_deliveries={
        "gateway": 2_000_000,
        "gateway-compact": 2_000_000,
        "nchan": 200_000,
        "better-sse": 60_000,
        "sse-starlette": 40_000,
        "baseline": 40_000,
    },
    publish_seconds=2.0,
)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Measures the gateway side by side with its peers.")
    parser.add_argument("--streams", help="numbers of streams, by commas (1000,8000,16000; quick: 200,1000)")
    parser.add_argument(
        "--rounds",
        type=int,
        help=f"fresh servers of each kind, in turns ({ROUNDS}, but {ROUNDS_OF_MORE} from {MORE_STREAMS:,} "
        "streams on; quick: 1)",
    )
    parser.add_argument("--only", default=",".join(NAMES), help=f"some of: {', '.join(NAMES)} (all)")
    parser.add_argument("--quick", action="store_true", help="a short run with smaller numbers")
    return parser.parse_args(arguments)


def stream_counts(options: argparse.Namespace) -> list[int]:
    """The numbers of streams; 16,000 only where the limit of open files allows it, unless asked for."""
    if options.streams:
        return bench.number_list(options.streams, "--streams")
    if options.quick:
        return [200, 1000]
    counts = [1000, 8000]
    if bench.allows(MORE_STREAMS):
        counts.append(MORE_STREAMS)
    else:
        print(f"{MORE_STREAMS:,} streams are left out: the limit of open files is too low.", file=sys.stderr)
    return counts


def rounds_at(count: int, options: argparse.Namespace) -> int:
    """How many rounds there are at a number of streams. Raises bench.UsageError for fewer than one."""
    if options.rounds is None:
        return ROUNDS if count < MORE_STREAMS and not options.quick else ROUNDS_OF_MORE
    if options.rounds < 1:
        raise bench.UsageError("--rounds takes a number from 1")
    return int(options.rounds)


def prepare(names: Sequence[str], progress: Progress) -> tuple[list[Peer], dict[str, str]]:
    """The servers that can be measured, in the order asked for, and why the others can't."""
    found, missing = [], {}
    for name in names:
        if name in BARE_KINDS:
            found.append(Peer(BARE_KINDS[name], ""))
        elif name in KINDS:
            found.append(Peer(KINDS[name], ""))
        else:
            progress.phase(f"{name}: looking for it, installing where need be")
            try:
                found.append(INSTALLERS[name](INSTALLED / name))
            except MissingError as error:
                missing[name] = str(error)
                progress.phase(f"{name} is missing: {error}")
    return found, missing


def describe_sizes(amounts: Amounts, rounds: dict[int, int]) -> list[str]:
    """What was done, in words."""
    counts = list(rounds)
    at = ", ".join(f"{count:,}" for count in counts)
    singles = ", ".join(str(amounts.singles(count)) for count in counts)
    return [
        f"Rounds: {', '.join(map(str, rounds.values()))} at {at} streams, each with fresh servers, in turns, "
        "every second one backwards; medians. One core for the server with all its processes and threads, "
        "another for the generator.",
        f"Every stream of one channel gets every event, {EVENT_BYTES} bytes of JSON, published over HTTP, "
        f"one a request. At {at} streams: {singles} single "
        "events, each when all have had the last one, after a pause as long as that took; "
        f"{', '.join(str(amounts.bursts(count)) for count in counts)} bursts of {BURST_EVENTS}, likewise; "
        f"then as fast as {LANES} keep-alive connections can, for at most {amounts.publish_seconds:.0f} s or "
        + ", ".join(f"{most:,} ({name})" for name, most in amounts.full_deliveries.items())
        + " deliveries.",
        "Heartbeats as each ships: gateway, baseline and sse-starlette every 15 s, better-sse every 10 s, "
        "nchan none. Connecting: 64 at once, until the stream is subscribed.",
        "With `fields=data` the events have that member alone; what nchan and the others deliver is what was "
        "published.",
        f"With a flag: it stands at {PERCENTAGE} %, by client id, and each stream has one of its own that is "
        "in; with a token: each has one of its own, of its own subject (HS256). Every stream was told that "
        "it streams, and got an event. By browsers: no two streams have the same header fields, of some 550 "
        "bytes each; by others all have the same, but for client id and token.",
        f"Plain answers: {REQUESTS:,} requests a round over {CONNECTIONS} connections, one under way on "
        "each. The list is of one upstream, 16,384 bytes of JSON from each server, byte for byte, and each "
        "answer of the gateway and of nginx says that it comes from what is there (`Cache-Status: tidegate; "
        "hit`, `X-Cache-Status: HIT`). nginx has the cached file open; it looks at no token. By browsers: "
        f"{BROWSERS:,} of them ask in turns, each with header fields of its own.",
    ]


def measure(
    report: PeerReport, peers: list[Peer], rounds: dict[int, int], core: int, amounts: Amounts
) -> None:
    """Fills the report as it goes. A server that fails at a number of streams is not asked for it again."""
    progress = Progress()
    try:
        for count in rounds:
            failed: set[str] = set()
            for number in range(rounds[count]):
                for peer in peers if number % 2 == 0 else peers[::-1]:
                    name = peer.kind.name
                    if name in failed:
                        continue
                    loads = LOADS if name in amounts.full_deliveries else ()
                    found = measure_peer(peer.kind, count, core, amounts, loads, progress)
                    report.add(found)
                    if found.problems:
                        failed.add(name)
        if {"gateway", BARE.name} <= {peer.kind.name for peer in peers}:
            answers, missing = measure_answers(BARE, core, max(rounds.values()), REQUESTS, progress)
            report.answers += answers
            if missing:
                report.missing[NGINX] = missing
    except (RunFailedError, OSError) as error:  # OSError: sockets and /proc of a server that fell
        report.problems.append(f"plain answers: {error}")
    finally:
        report.seconds = progress.elapsed_s


def run(options: argparse.Namespace) -> int:
    """Measures, prints, writes; gives the exit code."""
    names = [name for name in NAMES if name in options.only.split(",")]
    if not names or set(options.only.split(",")) - set(NAMES):
        raise bench.UsageError(f"--only takes some of {', '.join(NAMES)}, not {options.only!r}")
    rounds = {count: rounds_at(count, options) for count in stream_counts(options)}
    bench.raise_descriptor_limit(max(rounds))
    amounts = QUICK if options.quick else FULL
    peers, missing = prepare(names, Progress())
    report = PeerReport(
        command=shlex.join(["python", "loadtests/peers.py", *sys.argv[1:]]),
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        machine=describe_machine(),
        versions=[peer.version for peer in peers if peer.version],
        missing=missing,
        sizes=describe_sizes(amounts, rounds),
    )
    if not peers:
        raise bench.UsageError("None of the servers is here: there is nothing to measure.")
    core, _ = bench.choose_cores()
    # Only reference counts here: a collection of 8,000 streams would show up as a latency of the server.
    gc.disable()
    try:
        measure(report, peers, rounds, core, amounts)
    finally:
        print(as_markdown(report))
    print(f"Results: {bench.write_json('peers', report.date, report.as_json())}", file=sys.stderr)
    if report.problems:
        print("FAILED: " + "\n  ".join(report.problems), file=sys.stderr)
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's text for the exit codes."""
    return bench.exit_code(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
