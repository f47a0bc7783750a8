"""What idle streams keep: what is counted of the objects, and how the figures are told."""

import pytest

from gateway.delivery.subscriber import Subscriber
from loadtests.bench import UsageError
from loadtests.inspected_gateway import ALIGNMENT, kept_by
from loadtests.stream_memory import Found, parse, tables


class Leaf:
    __slots__ = ("names", "other")

    def __init__(self, names: object, other: object = None) -> None:
        self.names = names
        self.other = other


class Shared:
    def __init__(self) -> None:
        self.much = ["much"] * 1000


def test_what_is_reached_counts_once_and_what_is_shared_not_at_all() -> None:
    names = ("a name", 7_000_000)
    one = Leaf(names, Shared())
    other = Leaf(names, one)

    kept = kept_by([[one, other]], (type, Shared))

    assert kept.keys() == {"list", "Leaf", "tuple", "str", "int"}
    assert kept == kept_by([[one, other, one]], (type, Shared)) | {"list": kept["list"]}
    assert kept["Leaf"] == 2 * kept_by([one], (type, Shared, Leaf))["Leaf"]
    assert all(size % ALIGNMENT == 0 for size in kept.values())


def test_a_subscriber_stays_as_small_as_it_is() -> None:
    subscriber = Subscriber(None, 1, None)  # type: ignore[arg-type]
    assert kept_by([subscriber], (type,))["Subscriber"] <= 128


def test_the_tables_say_what_each_stream_takes_and_what_no_object_accounts_for() -> None:
    found = [
        Found("alike", 430.0, 440.0, 450.0, {"Subscriber": 128.0, "Socket": 64.0, "Rare": 0.5}),
        Found("others", 1550.0, 1600.0, 1700.0, {"Subscriber": 128.0, "Transport": 688.0}),
    ]
    assert tables(found).splitlines() == [
        "| streams | bytes resident for each | left when all have gone | when as many have come again |",
        "| --- | ---: | ---: | ---: |",
        "| alike | 430 | 440 | 450 |",
        "| others | 1,550 | 1,600 | 1,700 |",
        "",
        "| bytes for each stream | alike | others |",
        "| --- | ---: | ---: |",
        "| `Transport` | 0 | 688 |",
        "| `Subscriber` | 128 | 128 |",
        "| `Socket` | 64 | 0 |",
        "| other objects | 0 | 0 |",
        "| all else that is resident | 238 | 734 |",
    ]


def test_no_streams_are_refused() -> None:
    assert parse(["--quick"]).streams == 500
    with pytest.raises(UsageError, match="--streams"):
        parse(["--streams", "-1"])
