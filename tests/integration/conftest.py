"""A running gateway for every test that asks: in a thread, or as a process of its own."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.settings import Settings
from tests.support.api import Client
from tests.support.gateway import GatewayThread, ServedGateway, make_settings


@pytest.fixture
def hand_over() -> bool:
    """How `gateway` carries streams; modules marked BOTH_WAYS run over either."""
    return True


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
def gateway(start_gateway: Callable[..., GatewayThread], hand_over: bool) -> GatewayThread:
    """A gateway with default settings."""
    return start_gateway(hand_over=hand_over)


@pytest.fixture
def client(gateway: GatewayThread) -> Client:
    """A client of `gateway`."""
    return Client(gateway.port)


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServedGateway]]:
    """Starts `tidegate serve` with a configuration; the processes end with the test."""
    served: list[ServedGateway] = []

    def start(config: str = "") -> ServedGateway:
        gateway = ServedGateway(tmp_path_factory.mktemp("served"), config)
        served.append(gateway)
        return gateway

    yield start
    for gateway in served:
        gateway.kill()
