"""What the benchmarks share: options, the events they publish, other dialects, and tools that are absent."""

from collections import Counter
from pathlib import Path

import orjson
import pytest

from loadtests.bench import UsageError, number_list
from loadtests.crowd import source_address
from loadtests.peer_servers.peer import MissingError, run
from loadtests.publisher import sized_event
from loadtests.streams import Head, advance, start, unfinished

PLAIN = Head(200, {"content-type": "text/event-stream"})


def test_numbers_of_streams_ascend_and_come_once() -> None:
    assert number_list("8000,1000,8000", "--streams") == [1_000, 8_000]


@pytest.mark.parametrize("text", ["", "1000;8000", "many", "0,10", "-5"])
def test_a_list_that_is_none_is_refused_with_the_options_name(text: str) -> None:
    with pytest.raises(UsageError, match="--streams"):
        number_list(text, "--streams")


@pytest.mark.parametrize("size", [100, 1_000, 60_000])
@pytest.mark.parametrize("entity", ["", "order:1"])
@pytest.mark.parametrize("number", [0, 99_999])
def test_an_event_has_exactly_the_size_asked_for(size: int, entity: str, number: int) -> None:
    if entity and size == 100:
        size = 150
    event = sized_event(entity, 7, number, 12_345_678_901_234, size)

    assert len(orjson.dumps(event)) == size
    assert ("entityType" in event) == bool(entity)


def test_an_event_that_can_not_be_so_small_is_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        sized_event("", 0, 0, 12_345_678_901_234, 40)


def frame(number: int) -> bytes:
    return b"data: " + orjson.dumps(sized_event("", 0, number, 1_000, 100)) + b"\n\n"


def test_a_server_that_greets_nobody_and_numbers_nothing_is_checked_by_the_events_own_numbers() -> None:
    state = start((0,), "", PLAIN, greets=False, positioned=False)

    good = advance(state, b": hi\n\n" + frame(0) + frame(1))
    bad = advance(good.state, frame(3) + frame(2) + frame(2))

    assert (good.problems, good.events) == ((), 2)
    assert [problem.kind for problem in bad.problems] == ["lost", "reordered", "doubled"]
    assert unfinished(good.state, (3,)) is not None


def test_a_server_that_should_greet_and_does_not_is_found_out() -> None:
    step = advance(start((0,), "", PLAIN, positioned=False), frame(0))

    assert [problem.kind for problem in step.problems] == ["reordered"]


def test_an_event_without_an_entity_does_not_belong_to_a_stream_that_asked_for_one() -> None:
    step = advance(start((0,), "order:1", PLAIN, greets=False, positioned=False), frame(0))

    assert [problem.kind for problem in step.problems] == ["misdirected"]


def test_a_tool_that_is_absent_makes_a_peer_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no-such-tool can't be run"):
        run(["no-such-tool"], tmp_path)


def test_a_tool_that_fails_makes_a_peer_missing_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"sh -c failed: no such package"):
        run(["sh", "-c", "echo first >&2; echo no such package >&2; exit 3"], tmp_path)


def test_no_source_has_more_connections_than_the_kernel_gives_ports_to_without_a_search() -> None:
    ephemeral = 60_999 - 32_768 + 1

    connections = Counter(source_address(index) for index in range(50_000))

    assert max(connections.values()) <= ephemeral // 2
