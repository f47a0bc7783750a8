"""flags/guard/who.py: one who counts."""

from flags.guard.who import Who


def test_who_is_known_by_the_key_and_counts_for_an_address_only_where_there_is_one() -> None:
    assert Who("s:ana") == ("s:ana", None)
    assert Who("a:192.0.2.1", "192.0.2.1").address == "192.0.2.1"
