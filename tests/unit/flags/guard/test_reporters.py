"""Which client software is held to reporting, and by whom."""

from flags.guard.reporters import SEVERAL, Reporters


def test_software_is_known_by_any_of_its_names() -> None:
    reporters = Reporters()
    reporters.add(["2.1.0", "shop/2.1.0"], "ann")
    assert reporters.knows(["shop/2.1.0"], "ann")
    assert reporters.knows(["3.0.0", "2.1.0"], "ann")
    assert not reporters.knows(["3.0.0"], "ann")
    assert not reporters.knows([], "ann")


def test_one_source_speaks_for_itself_and_several_for_all() -> None:
    reporters = Reporters()
    for number in range(SEVERAL):
        assert not reporters.knows(["2.1.0"], "ben"), "nobody else can make ben's streams fail"
        for _ in range(10):
            reporters.add(["2.1.0"], f"source {number}")
    assert reporters.knows(["2.1.0"], "ben")


def test_names_that_are_made_up_push_out_the_oldest() -> None:
    reporters = Reporters(capacity=3)
    for name in "abcad":
        reporters.add([name], "ann")
    assert [name for name in "abcd" if reporters.knows([name], "ann")] == ["a", "c", "d"]
