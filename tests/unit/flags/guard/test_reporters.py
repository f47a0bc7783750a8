"""Which client software is known to report."""

from flags.guard.reporters import Reporters


def test_software_that_reported_is_known_by_any_of_its_names() -> None:
    reporters = Reporters()
    reporters.add(["2.1.0", "shop/2.1.0"])
    assert reporters.knows(["shop/2.1.0"])
    assert reporters.knows(["3.0.0", "2.1.0"])
    assert not reporters.knows(["3.0.0"])
    assert not reporters.knows([])


def test_made_up_names_push_out_those_that_reported_longest_ago_and_take_no_more_room() -> None:
    reporters = Reporters(capacity=3)
    for name in ("a", "b", "c", "a", "d"):
        reporters.add([name])
    assert [name for name in "abcd" if reporters.knows([name])] == ["a", "c", "d"]
