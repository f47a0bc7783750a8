"""Browsers of a benchmark: header fields that are no two the same, and a request that reads as one."""

from loadtests.browsers import fields_of
from loadtests.streams import parse_head


def test_no_two_browsers_send_the_same_and_each_sends_the_same_each_time() -> None:
    all_of_them = [fields_of(index) for index in range(500)]

    assert len(set(all_of_them)) == 500
    fields_of.cache_clear()
    assert fields_of(7) == all_of_them[7]


def test_they_are_whole_lines_of_a_head() -> None:
    parsed = parse_head(f"HTTP/1.1 200 OK\r\n{fields_of(3)}\r\n".encode())

    assert parsed is not None
    assert parsed[0].headers["user-agent"].startswith("Mozilla/5.0")
    assert "session=" in parsed[0].headers["cookie"]
    assert 500 < len(fields_of(3)) < 600
