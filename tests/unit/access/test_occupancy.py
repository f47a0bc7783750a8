"""How many streams there are, of whom: counted exactly, and remembered for nobody who has none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.occupancy import Occupancy, OpenLimits
from gateway.core.networks import network_of


def test_without_limits_everybody_has_room_and_nobody_is_remembered() -> None:
    occupancy = Occupancy(OpenLimits())
    for number in range(1000):
        assert occupancy.passed(f"u{number}", f"10.0.0.{number}") is None
        occupancy.enter(f"u{number}", f"10.0.0.{number}")

    assert len(occupancy) == 0


@pytest.mark.parametrize(
    ("limits", "passed"),
    [
        (OpenLimits(streams=2), "streams"),
        (OpenLimits(streams_per_subject=2), "streams_per_subject"),
        (OpenLimits(streams_per_address=2), "streams_per_address"),
        (OpenLimits(2, 2, 2), "streams_per_subject"),
    ],
)
def test_each_limit_holds_until_somebody_leaves(limits: OpenLimits, passed: str) -> None:
    occupancy = Occupancy(limits)
    for _ in range(2):
        assert occupancy.passed("ana", "10.0.0.1") is None
        occupancy.enter("ana", "10.0.0.1")

    assert occupancy.passed("ana", "10.0.0.1") == passed
    occupancy.leave("ana", "10.0.0.1")
    assert occupancy.passed("ana", "10.0.0.1") is None


def test_one_subjects_streams_take_no_room_of_anothers_nor_of_those_without() -> None:
    occupancy = Occupancy(OpenLimits(streams_per_subject=1, streams_per_address=2))
    occupancy.enter("ana", "10.0.0.1")

    assert occupancy.passed("ana", "10.0.0.2") == "streams_per_subject"
    assert occupancy.passed("ben", "10.0.0.1") is None
    for _ in range(5):
        occupancy.enter(None, None)
    assert occupancy.passed(None, None) is None


def test_an_empty_subject_is_one_too() -> None:
    occupancy = Occupancy(OpenLimits(streams_per_subject=1))
    occupancy.enter("", None)

    assert occupancy.passed("", None) == "streams_per_subject"


@given(st.lists(st.tuples(st.sampled_from(["ana", "ben", None]), st.sampled_from(["1.1.1.1", "::1", None]))))
def test_when_all_have_left_nothing_is_left(callers: list[tuple[str | None, str | None]]) -> None:
    occupancy = Occupancy(OpenLimits(1000, 1000, 1000))
    for subject, address in callers:
        occupancy.enter(subject, address)
    for subject, address in reversed(callers):
        occupancy.leave(subject, address)

    assert len(occupancy) == 0
    assert Occupancy(OpenLimits(1)).passed(None, None) is occupancy.passed(None, None) is None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::4", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("no:address", "no:address"),
        (None, None),
    ],
)
def test_an_address_of_ipv6_counts_by_its_network(address: str | None, network: str | None) -> None:
    assert network_of(address) == network
