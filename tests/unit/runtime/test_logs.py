"""Log lines that a machine can filter."""

import json
import logging
import shlex
import sys

import pytest

from gateway.runtime.logs import LogfmtFormatter, configure, log_event, log_failure


def line_of(caplog: pytest.LogCaptureFixture) -> str:
    return LogfmtFormatter().format(caplog.records[-1])


def fields_of(line: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in shlex.split(line))


def test_an_event_is_one_line_of_its_name_and_fields(caplog: pytest.LogCaptureFixture) -> None:
    log_event(logging.getLogger("t"), logging.WARNING, "upstream_failed", component="orders", status=502)
    fields = fields_of(line_of(caplog))
    assert list(fields) == ["time", "level", "event", "component", "status"]
    assert fields["level"] == "warning"
    assert (fields["event"], fields["component"], fields["status"]) == ("upstream_failed", "orders", "502")


@pytest.mark.parametrize(
    "value", ["two words", 'a "quote"', "line\nbreak", "a=b", "", "\x1b[31m", "\u2028", "é"]
)
def test_a_value_never_breaks_the_line_or_starts_a_field(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    log_event(logging.getLogger("t"), logging.ERROR, "x", before=1, value=value, after=2)
    line = line_of(caplog)
    assert line.isascii()
    assert line.isprintable()
    written = line.split("value=", 1)[1].removesuffix(" after=2")
    assert json.loads(written) == value


def test_plain_values_are_written_without_quotes(caplog: pytest.LogCaptureFixture) -> None:
    log_event(logging.getLogger("t"), logging.ERROR, "x", url="http://127.0.0.1:80/a,b[c]", none=None)
    line = line_of(caplog)
    assert "url=http://127.0.0.1:80/a,b[c]" in line
    assert 'none=""' in line


def test_a_level_that_is_off_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("t.quiet")
    logger.setLevel(logging.ERROR)
    log_event(logger, logging.INFO, "x")
    assert not caplog.records


def test_a_line_of_somebody_elses_names_its_logger(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("library").error("it %s", "broke")
    fields = fields_of(line_of(caplog))
    assert (fields["event"], fields["logger"], fields["message"]) == ("message", "library", "it broke")


def test_an_exception_stays_on_the_line(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("library").exception("it broke")
    line = line_of(caplog)
    assert "\n" not in line
    assert "ValueError: no" in line


def test_configure_sends_lines_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure("warning")
        assert root.handlers[0].stream is sys.stderr  # type: ignore[attr-defined]
        logging.getLogger("t").info("too quiet")
        logging.getLogger("t").warning("loud")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("message=loud")


def test_times_are_in_utc_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    log_event(logging.getLogger("t"), logging.ERROR, "x")
    caplog.records[-1].created = 1_732_125_600.123
    assert fields_of(line_of(caplog))["time"] == "2024-11-20T18:00:00.123Z"


def test_a_line_names_its_worker_where_there_are_several(caplog: pytest.LogCaptureFixture) -> None:
    log_event(logging.getLogger("t"), logging.ERROR, "x")
    fields = fields_of(LogfmtFormatter(worker=2).format(caplog.records[-1]))
    assert list(fields) == ["time", "level", "worker", "event"]
    assert fields["worker"] == "2"
    assert "worker" not in fields_of(line_of(caplog))


def test_a_failure_is_a_line_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("no")
    except ValueError as error:
        log_failure(logging.getLogger("t"), logging.ERROR, "task_failed", error, task="w")
    fields = fields_of(line_of(caplog))
    assert (fields["event"], fields["task"], fields["error"]) == ("task_failed", "w", "no")
    assert "in test_a_failure_is_a_line_with_its_traceback" in fields["exception"]
