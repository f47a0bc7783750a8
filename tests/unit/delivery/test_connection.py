"""Who reads a stream: all that was put in comes out, and it takes little."""

import sys

import pytest

from gateway.delivery.connection import Connection


@pytest.mark.parametrize("number", [0, 1, 2**64 - 1])
@pytest.mark.parametrize("address", [None, "192.0.2.1", "2001:db8::1", "fe80::1%eth0"])
@pytest.mark.parametrize("client", ["", "curl 8.5", "Käse/2.1", "a\0b"])
def test_what_was_put_in_comes_out(number: int, address: str | None, client: str) -> None:
    connection = Connection.of(number, 1_732_125_600_123, address, client)

    assert (connection.id, connection.opened_ms) == (f"{number:016x}", 1_732_125_600_123)
    assert (connection.address, connection.client) == (address, client)


def test_it_takes_little_memory() -> None:
    connection = Connection.of(2**63, 1_732_125_600_123, "203.0.113.77", "Chrome 131")

    assert sys.getsizeof(connection) <= 96
