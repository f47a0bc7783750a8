"""What a node appends, and what it knows of it when it comes back."""

from adapters.redis.own_events import OwnEvents
from gateway.core.log_payload import to_payload
from tests.support.events import an_event

EVENTS = [an_event(f"order:{number}") for number in range(10)]
PAYLOADS = [to_payload(event) for event in EVENTS]


def test_a_payload_gives_the_event_that_it_was_made_of_once() -> None:
    own = OwnEvents()
    own.add(PAYLOADS, EVENTS)
    assert own.take(PAYLOADS[3]) is EVENTS[3]
    assert own.take(PAYLOADS[3]) is None
    assert own.take(to_payload(an_event("order:another"))) is None


def test_the_newest_of_what_does_not_come_back_are_kept() -> None:
    size = len(PAYLOADS[0])
    own = OwnEvents(max_bytes=3 * size)
    for payload, event in zip(PAYLOADS, EVENTS, strict=True):
        own.add([payload], [event])
    assert [own.take(payload) for payload in PAYLOADS] == [None] * 7 + EVENTS[7:]


def test_an_event_that_is_larger_than_all_that_is_kept_is_kept_alone() -> None:
    own = OwnEvents(max_bytes=1)
    own.add(PAYLOADS[:2], EVENTS[:2])
    assert own.take(PAYLOADS[0]) is None
    assert own.take(PAYLOADS[1]) is EVENTS[1]


def test_what_is_appended_again_counts_once() -> None:
    size = len(PAYLOADS[0])
    own = OwnEvents(max_bytes=2 * size)
    for _ in range(5):
        own.add(PAYLOADS[:1], EVENTS[:1])
    own.add(PAYLOADS[1:2], EVENTS[1:2])
    assert [own.take(payload) for payload in PAYLOADS[:2]] == EVENTS[:2]
