"""Who a caller is as evidence."""

import pytest

from flags.decide.caller import Caller
from flags.decide.decision import decide
from flags.guard.callers import Side
from flags.guard.who import Who
from gateway.migration.caller_sides import side_of, who_of
from tests.support.flags import make_flag


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("/run/gateway.sock", "/run/gateway.sock"),
    ],
)
def test_whoever_has_a_network_of_version_6_to_itself_is_one_address(address: str, counted: str) -> None:
    assert who_of(None, None, address) == Who(f"a:{counted}", counted)
    assert who_of(None, Caller(client="c"), address).address == counted


def test_whom_a_token_names_counts_whatever_its_address() -> None:
    assert who_of("ana", Caller(client="c"), "2001:db8::1") == Who("s:ana")


@pytest.mark.parametrize("stale", [False, True])
def test_a_side_is_that_which_was_drawn_also_while_the_flags_are_not_the_newest(stale: bool) -> None:
    flag = make_flag(stage="live", percentage=50)
    callers = [Caller(client=f"c{number}") for number in range(50)]
    chosen = Caller(client="c", preference="streaming")

    drawn = {side_of(decide(flag, caller, kill_all=False, stale=stale)) for caller in callers}

    assert drawn == {Side.TREATED, Side.CONTROL}
    assert side_of(decide(flag, chosen, kill_all=False, stale=stale)) is Side.STREAMING
