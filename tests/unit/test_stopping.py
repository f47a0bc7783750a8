"""What is closed at the end, whatever fails on the way."""

import logging

import pytest

from gateway.stopping import Closing


class Part:
    """Says in `closed` when it is closed, and may fail then."""

    def __init__(self, name: str, closed: list[str], failure: Exception | None = None) -> None:
        self.name = name
        self._closed = closed
        self._failure = failure

    async def close(self) -> None:
        self._closed.append(self.name)
        if self._failure is not None:
            raise self._failure


async def test_the_newest_is_closed_first_and_each_once() -> None:
    closed: list[str] = []
    closing = Closing()
    for name in ("log", "hub", "readers"):
        closing.add(name, Part(name, closed).close)
    await closing.close()
    await closing.close()
    assert closed == ["readers", "hub", "log"]


async def test_one_that_fails_is_logged_and_keeps_nothing_else_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    closed: list[str] = []
    closing = Closing()
    closing.add("log", Part("log", closed).close)
    closing.add("flags", Part("flags", closed, OSError("the disk is gone")).close)
    closing.add("hub", Part("hub", closed).close)
    await closing.close()
    assert closed == ["hub", "flags", "log"]
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "close_failed")
    assert record.fields["part"] == "flags"  # type: ignore[attr-defined]
    assert "the disk is gone" in record.fields["exception"]  # type: ignore[attr-defined]
