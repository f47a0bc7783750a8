"""A running gateway for every test that asks: in a thread, or as a process of its own."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from gateway.service.settings import Settings
from gateway.service.wiring.http import Way
from tests.support.admin import Operator, operator
from tests.support.api import Client
from tests.support.clock import ManualClock
from tests.support.cluster import shared_log
from tests.support.gateway import GatewayThread, ServedGateway, make_settings
from tests.support.npm import JSON_SERVER, install
from tests.support.pip import environment_with
from tests.support.ports import own_port
from tests.support.postgres import PostgresServer, log_database, own_server
from tests.support.shaky_log import ShakyLog
from tests.support.tokens import auth_settings
from tests.support.upstream import Gateway, Upstream, in_front_of, upstream


@pytest.fixture(params=["postgres", "redis"])
async def log_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The URL of a fresh log that several nodes can share."""
    async with shared_log(request.param) as url:
        yield url


@pytest.fixture(scope="session")
def django(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of a Python that has Django REST Framework; it is installed once a session."""
    packages = "django>=5.2,<6", "djangorestframework>=3.16,<4"
    return environment_with(tmp_path_factory.mktemp("django"), *packages)


@pytest.fixture(scope="session")
def json_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """json-server's program; it is installed once a session."""
    directory = tmp_path_factory.mktemp("json-server")
    install(directory, JSON_SERVER)
    return directory / "node_modules" / "json-server" / "lib" / "cli" / "bin.js"


@pytest.fixture
def way() -> Way:
    """How `gateway` carries streams; modules marked EVERY_WAY run over each."""
    return "front_door"


@pytest.fixture
def start_gateway() -> Iterator[Callable[..., GatewayThread]]:
    """Starts gateways, which end with the test; none may have had an error that nobody handled."""
    started: list[GatewayThread] = []

    def start(settings: Settings | None = None, **options: Any) -> GatewayThread:
        gateway = GatewayThread(settings or make_settings(), **options)
        gateway.start()
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        gateway.stop()
    for gateway in started:
        assert gateway.errors == []


@pytest.fixture
def gateway(start_gateway: Callable[..., GatewayThread], way: Way) -> GatewayThread:
    """A gateway with default settings."""
    return start_gateway(way=way)


@pytest.fixture(params=[10_000, 2], ids=["history", "log"])
def reading_gateway(
    request: pytest.FixtureRequest, start_gateway: Callable[..., GatewayThread]
) -> GatewayThread:
    """A gateway that asks for tokens; it reads what is not new from its history, or from the log alone."""
    settings = make_settings(
        auth=auth_settings(), history={"max_events": request.param}, stream={"heartbeat_seconds": 0.2}
    )
    return start_gateway(settings, log=ShakyLog())


@pytest.fixture
def client(gateway: GatewayThread) -> Client:
    """A client of `gateway`."""
    return Client(gateway.port)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServedGateway]]:
    """Starts `tidegate serve` with a configuration, also in threads; the processes end with the test."""
    served: list[ServedGateway] = []
    numbers = count()

    def start(config: str = "") -> ServedGateway:
        # Not by pytest's factory: two threads that ask for its first directory fail.
        directory = tmp_path / f"served-{next(numbers)}"
        directory.mkdir()
        gateway = ServedGateway(directory, config)
        served.append(gateway)
        return gateway

    yield start
    for gateway in served:
        gateway.kill()


@pytest.fixture
def flags_file(tmp_path: Path) -> Path:
    """Where `flagged` keeps its flags; not there before the first change."""
    return tmp_path / "flags.json"


@pytest.fixture
def flagged(start_gateway: Callable[..., GatewayThread], flags_file: Path) -> GatewayThread:
    """A gateway with component `orders`, which owns orders, and flags in `flags_file`."""
    return start_gateway(
        make_settings(
            flags={"store": f"file:{flags_file}"},
            components={"orders": {"entities": ["order"]}},
        )
    )


@pytest.fixture
async def admin(flagged: GatewayThread) -> AsyncIterator[Operator]:
    """An operator of `flagged`."""
    async with operator(flagged.port) as client:
        yield client


@pytest.fixture
async def backend() -> AsyncIterator[Upstream]:
    """An upstream that says what a test has it say."""
    async with upstream() as one:
        yield one


@pytest.fixture
def refusing() -> Iterator[str]:
    """The URL of an upstream at which nobody listens."""
    with own_port() as port:
        yield f"http://127.0.0.1:{port}/orders"


@pytest.fixture(params=["front_door", "handed_over"])
def way_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For modules whose tests have to hold however a request comes in to the gateways of `in_front_of`."""
    monkeypatch.setattr("tests.support.upstream.WAY", request.param)


@pytest.fixture
async def shared(backend: Upstream) -> AsyncIterator[Gateway]:
    """A shared route that is asked when a test writes, and otherwise after an hour."""
    async with in_front_of(
        backend.url, ManualClock(), interval_seconds=3600.0, timeout_seconds=5.0, max_body_bytes=100_000
    ) as one:
        yield one


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A Postgres of the module's own, which its tests may stop."""
    with own_server() as server:
        yield server


@pytest.fixture
async def url(server: PostgresServer) -> AsyncIterator[str]:
    """A database with an empty log on `server`."""
    async with log_database(server.url()) as url:
        yield url
