"""A process beside a benchmark: what it says is heard, and where it fails or falls, that is known."""

from multiprocessing.connection import Connection

import pytest

from loadtests.crowd import RunFailedError
from loadtests.measure import LossError
from loadtests.side_process import beside, failed, heard

PATIENCE_SECONDS = 60.0


def answers(twice: int, pipe: Connection) -> None:
    pipe.send(2 * twice + pipe.recv())


def fails(pipe: Connection) -> None:
    pipe.send(failed(LossError("it", 2, ["lost one", "lost another"])))


def falls(_: Connection) -> None:
    pass


def test_what_a_process_says_is_heard() -> None:
    with beside(answers, 20) as pipe:
        pipe.send(2)

        assert heard(pipe, PATIENCE_SECONDS, lambda _: None) == 42


def test_what_went_wrong_in_it_is_told() -> None:
    with beside(fails) as pipe, pytest.raises(LossError) as raised:
        heard(pipe, PATIENCE_SECONDS, lambda _: None)

    assert raised.value.problems == ["it: 2 problems", "lost one", "lost another"]


def test_one_that_falls_ends_the_run() -> None:
    with beside(falls) as pipe, pytest.raises(RunFailedError, match="has fallen"):
        heard(pipe, PATIENCE_SECONDS, lambda _: None)
