"""The history: frames made once, and what cursors mean in it."""

import json
from dataclasses import replace

import pytest

from gateway.core.events import ORIGIN, Cursor, Position, json_rest
from gateway.core.grants import EVERY, Grant, Scope
from gateway.core.history import History, HistoryEntry
from gateway.core.selectors import Match, Selector
from tests.support.events import a_record, an_event
from tests.support.streams import frames_of

ALL = Scope.of([Grant(EVERY)])


def history_of(
    count: int, *, max_events: int = 1000, max_bytes: int = 10**9, max_age_seconds: float = 1e9
) -> History:
    """A history of epoch "e" with events at positions 1-0 … `count`-0, one second each."""
    history = History(
        max_events=max_events,
        max_age_seconds=max_age_seconds,
        max_bytes=max_bytes,
        id_aliases={"order": "orderID"},
    )
    history.open("e", ORIGIN)
    for number in range(1, count + 1):
        history.append(a_record(number), float(number))
    return history


def entries_of(history: History) -> list[HistoryEntry]:
    entries = history.after(history.floor, 10**6)
    assert entries is not None
    return entries


def numbers_after(history: History, number: int) -> list[int]:
    entries = history.after(number, 10**6)
    assert entries is not None
    return [entry.position.major for entry in entries]


def test_an_event_becomes_one_frame_with_its_cursor() -> None:
    history = history_of(1)
    (entry,) = entries_of(history)
    (frame,) = frames_of(entry.frame)
    assert (frame.event, frame.id) == ("changed", "e.1-0")
    assert frame.data["id"] == "e.1-0"
    assert frame.data["orderID"] == frame.data["entityId"] == "1"


def test_an_event_s_json_is_held_once() -> None:
    history = history_of(0)
    event = an_event("order:1", data={"a": 1})
    rest = json_rest(event)
    history.append(a_record(1, event), 1.0)
    (entry,) = entries_of(history)
    assert entry.event is event
    assert event.rest is None
    assert entry.json.endswith(rest[rest.index(b',"action"') :])


def test_the_message_frame_is_the_frame_without_its_name() -> None:
    (entry,) = entries_of(history_of(1))
    assert b"event: changed\n" + entry.frame_for("", named=False) == entry.frame


def test_the_json_is_what_the_frame_holds() -> None:
    (entry,) = entries_of(history_of(1))
    assert b"data: " + entry.json + b"\n\n" == entry.frame[entry.frame.index(b"data: ") :]


@pytest.mark.parametrize(("named", "event"), [(True, "changed"), (False, None)])
def test_a_reader_of_a_scope_gets_its_cursor_in_both_places(named: bool, event: str | None) -> None:
    (entry,) = entries_of(history_of(1))
    (frame,) = frames_of(entry.frame_for("abcdefghij0", named=named))
    (plain,) = frames_of(entry.frame)
    assert (frame.event, frame.id) == (event, "e.1-0.abcdefghij0")
    assert frame.data == plain.data | {"id": "e.1-0.abcdefghij0"}
    assert json.loads(entry.json_for("abcdefghij0")) == frame.data


@pytest.mark.parametrize(("named", "event"), [(True, "changed"), (False, None)])
def test_a_frame_with_other_data_keeps_its_id_and_name(named: bool, event: str | None) -> None:
    history = history_of(0)
    history.append(a_record(1, an_event(data={"n": 1}, previous={"n": 2})), 0.0)
    (entry,) = entries_of(history)
    (frame,) = frames_of(history.frame_of(entry, Match.LEAVE, Selector(), named=named))
    assert (frame.event, frame.id) == (event, "e.1-0")
    assert frame.data["action"] == "leave"
    assert not {"data", "previous"} & set(frame.data)


@pytest.mark.parametrize("scope", ["", "abcdefghij0"])
@pytest.mark.parametrize(("named", "event"), [(True, "changed"), (False, None)])
def test_a_frame_of_some_members_keeps_its_id_and_name(named: bool, event: str | None, scope: str) -> None:
    history = history_of(1)
    (entry,) = entries_of(history)
    selector = Selector(scope=replace(ALL, text=scope)) if scope else Selector()
    fields = frozenset({"id", "orderID", "action"})
    (frame,) = frames_of(history.frame_of(entry, Match.DELIVER, selector, named=named, fields=fields))
    cursor = history.cursor(1, scope)
    assert entry.cursor_for(scope).decode() == cursor
    assert (frame.event, frame.id) == (event, cursor)
    assert list(frame.data.items()) == [("id", cursor), ("orderID", "1"), ("action", "update")]
    assert json.loads(history.json_of(entry, Match.DELIVER, selector, fields)) == frame.data


@pytest.mark.parametrize("match", [Match.DELIVER, Match.LEAVE])
def test_who_wants_data_is_shown_no_more_of_it_than_anybody(match: Match) -> None:
    history = history_of(0)
    history.append(a_record(1, an_event(data={"n": 1, "secret": 2}, previous={"n": 0, "secret": 1})), 0.0)
    (entry,) = entries_of(history)
    partial = Selector(scope=Scope.of([Grant("order", members=frozenset({"n"}))]))
    fields = frozenset({"data", "previous", "action"})
    # The whole texts are kept by then.
    history.json_of(entry, Match.DELIVER, Selector(), fields)
    told = json.loads(history.json_of(entry, match, partial, fields))
    visible = {} if match is Match.LEAVE else {"data": {"n": 1}, "previous": {"n": 0}}
    assert told == visible | {"action": "leave" if match is Match.LEAVE else "update"}


def test_readers_of_an_event_who_want_the_same_member_have_it_encoded_once() -> None:
    history = history_of(0)
    data = {"n": 1}
    history.append(a_record(1, an_event(data=data)), 0.0)
    history.append(a_record(2, an_event(data={"n": 7})), 0.0)
    first, second = entries_of(history)
    assert history.json_of(first, Match.DELIVER, Selector(), frozenset({"data"})) == b'{"data":{"n":1}}'
    # Nobody changes an event: here it tells whether it is looked at again.
    data["n"] = 2
    both = frozenset({"action", "data"})
    partial = Selector(scope=Scope.of([Grant("order", members=frozenset())]))
    assert json.loads(history.json_of(first, Match.DELIVER, partial, both))["data"] == {}
    assert json.loads(history.json_of(first, Match.LEAVE, Selector(), both)) == {"action": "leave"}
    assert json.loads(history.json_of(first, Match.DELIVER, Selector(), both))["data"] == {"n": 1}
    assert json.loads(history.json_of(second, Match.DELIVER, Selector(), both))["data"] == {"n": 7}


def test_a_record_that_does_not_come_after_the_last_is_refused() -> None:
    history = history_of(3)
    with pytest.raises(ValueError, match="does not come after"):
        history.append(a_record(3), 4.0)


def test_the_entries_after_a_trimmed_number_are_not_given() -> None:
    history = history_of(10, max_events=4)
    history.trim(0.0, 10)
    assert history.floor == 6
    assert history.after(5, 10) is None
    assert numbers_after(history, 6) == [7, 8, 9, 10]


def test_a_trim_keeps_what_it_is_told_to_keep() -> None:
    history = history_of(10, max_events=4)
    history.trim(0.0, 3)
    assert history.floor == 3


def test_bytes_count_the_frame_and_what_an_entry_costs() -> None:
    history = history_of(3)
    size = entries_of(history)[0].size
    assert size > len(entries_of(history)[0].frame)
    assert history.size_bytes == 3 * size
    bounded = history_of(3, max_bytes=2 * size)
    bounded.trim(0.0, 3)
    assert numbers_after(bounded, 1) == [2, 3]


def test_entries_grow_old() -> None:
    history = history_of(10, max_age_seconds=5.0)
    history.trim(12.0, 10)
    assert numbers_after(history, history.floor) == [7, 8, 9, 10]


def test_the_latest_are_given_oldest_first_and_only_what_is_held() -> None:
    history = history_of(10, max_events=4)
    history.trim(0.0, 10)
    assert [entry.position.major for entry in history.latest(2)] == [9, 10]
    assert [entry.position.major for entry in history.latest(100)] == [7, 8, 9, 10]
    assert history.latest(0) == []


def test_the_cursor_of_the_last_trimmed_entry_is_honoured_and_the_one_before_is_trimmed() -> None:
    history = history_of(10, max_events=4)
    history.trim(0.0, 10)
    assert history.resolve("e.6-0") == 6
    assert history.resolve("e.5-0") == "trimmed"
    assert history.resolve("e.0-0") == "trimmed"


def test_every_cursor_of_the_history_resolves_to_its_number() -> None:
    history = history_of(10, max_events=4)
    history.trim(0.0, 10)
    assert [history.resolve(history.cursor(number)) for number in range(6, 11)] == [6, 7, 8, 9, 10]


def test_before_anything_was_trimmed_the_origin_is_honoured() -> None:
    assert history_of(3).resolve("e.0-0") == 0


def test_a_cursor_between_two_entries_is_unknown() -> None:
    assert history_of(3).resolve("e.2-7") == "unknown"
    assert history_of(3).resolve("e.0-1") == "unknown"


def test_an_entry_knows_the_position_before_it() -> None:
    history = history_of(0)
    history.open("e", Position(7, 7))
    history.append(a_record(9), 0.0)
    history.append(a_record(11), 0.0)
    assert [entry.after for entry in entries_of(history)] == [Position(7, 7), Position(9, 0)]


@pytest.mark.parametrize("text", ["f.1-0", "f.99-0", "e2.1-0"])
def test_a_cursor_of_another_epoch_says_epoch(text: str) -> None:
    assert history_of(3).resolve(text) == "epoch"


@pytest.mark.parametrize("text", ["e.3-1", "e.4-0", f"e.{2**64 - 1}-{2**64 - 1}"])
def test_a_cursor_ahead_of_the_head_is_unknown(text: str) -> None:
    assert history_of(3).resolve(text) == "unknown"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "1-0",
            "e.",
            "e.1",
            "e:1-0",
            "e.1-0.c2NvcGU",
            "e.01-0",
            "e.1-0 ",
            "e.1-0\n",
            "E.1-0",
            f"e.{2**64}-0",
            "42",
            "🙂",
        ),
        *("a" * 300, "e" * 65 + ".1-0", "e.1-0" * 60, "latest", "Earliest"),
    ],
)
def test_what_no_gateway_gives_is_unknown(text: str) -> None:
    assert history_of(3).resolve(text) == "unknown"


def test_earliest_means_all_that_is_still_held() -> None:
    history = history_of(10, max_events=4)
    history.trim(0.0, 10)
    assert history.resolve("earliest") == 6
    assert history_of(0).resolve("earliest") == 0


def test_a_history_that_opens_within_a_log_holds_nothing_before_its_floor() -> None:
    history = history_of(0)
    history.open("f", Position(500, 2))
    history.append(a_record(501), 0.0)
    assert history.cursor(0) == str(Cursor("f", Position(500, 2)))
    assert history.resolve("f.500-2") == 0
    assert history.resolve("f.500-1") == "trimmed"
    assert history.resolve("f.501-0") == 1


def test_a_window_starts_after_what_came_longer_before() -> None:
    history = history_of(10)
    assert history.window_start(10, 3.0) == 7
    assert history.window_start(10, 0.5) == 9
    assert history.window_start(10, 100.0) == 0


def test_a_window_ends_at_the_floor_and_is_empty_for_what_was_trimmed() -> None:
    history = history_of(10, max_events=4)
    history.trim(0.0, 10)
    assert history.window_start(10, 100.0) == 6
    assert history.window_start(6, 100.0) == 6
    assert history.window_start(2, 100.0) == 2


def test_the_frame_of_any_text_is_one_frame() -> None:
    history = history_of(0)
    text = "a\nb\rc\r\nd\x00e\u2028f\U0001f600"
    history.append(a_record(1, an_event(data={"text": text})), 0.0)
    (entry,) = entries_of(history)
    (frame,) = frames_of(entry.frame)
    assert frame.data["data"]["text"] == text
    assert json.loads(entry.json)["data"]["text"] == text
