"""The streams that are open: how each comes, is written to, and ends."""

import pytest

from gateway.core.credentials import Credentials
from gateway.core.selectors import Selector
from gateway.delivery.group import DeliveryOptions, Groups
from gateway.delivery.pace import USUAL
from gateway.delivery.streams import Streams
from gateway.delivery.subscriber import State, Subscriber
from gateway.runtime.failures import Failures
from tests.support.observer import NotingObserver
from tests.support.scheduler import ManualScheduler
from tests.support.transport import RecordingTransport

ORDERS = Selector(withheld=frozenset({"order"}))


@pytest.fixture
def told() -> NotingObserver:
    return NotingObserver()


@pytest.fixture
def failures(scheduler: ManualScheduler) -> Failures:
    return Failures(scheduler.clock.monotonic)


@pytest.fixture
def streams(scheduler: ManualScheduler, failures: Failures, told: NotingObserver) -> Streams:
    return Streams(
        scheduler,
        failures,
        Groups(50, lambda: None),
        told,
        lambda subscriber: None,
        USUAL,
        stall_seconds=30.0,
        retry_ms=2000,
        draw=lambda low, high: high,
    )


def attach(
    streams: Streams, scheduler: ManualScheduler, selector: Selector = ORDERS
) -> tuple[Subscriber, RecordingTransport]:
    transport = RecordingTransport(scheduler)
    return streams.attach(transport, selector, DeliveryOptions(), 0, None, "trimmed"), transport


def test_streams_of_one_selection_and_form_are_one_group(
    streams: Streams, scheduler: ManualScheduler
) -> None:
    (one, _), (other, _), (alone, _) = (
        attach(streams, scheduler, selector) for selector in (ORDERS, ORDERS, Selector())
    )
    assert one.group is other.group is not alone.group
    assert (len(streams), len(streams.groups), one.group.readers) == (3, 2, 2)


def test_a_stream_knows_whose_it_is_and_one_without_credentials_is_nobodys(
    streams: Streams, scheduler: ManualScheduler
) -> None:
    ana = Credentials(subject="ana", token_id="t1", issued_at=1.0, expires_at=2.0)
    transport = RecordingTransport(scheduler)
    hers = streams.attach(transport, ORDERS, DeliveryOptions(), 0, None, "trimmed", ana)
    nobodys, _ = attach(streams, scheduler)
    assert (hers.credentials, nobodys.credentials) == (ana, None)
    assert hers.group is nobodys.group  # what groups share does not hang on who reads it


def test_the_last_reader_takes_its_group_with_it_and_is_told_of_once(
    streams: Streams, scheduler: ManualScheduler, told: NotingObserver
) -> None:
    subscriber, _ = attach(streams, scheduler)
    streams.forget(subscriber)
    streams.forget(subscriber)
    assert (len(streams), len(streams.groups), subscriber.state) == (0, 0, State.CLOSED)
    assert told.told == [("attached", subscriber), ("ended", subscriber)]


def test_a_moved_stream_leaves_its_group_to_the_others(streams: Streams, scheduler: ManualScheduler) -> None:
    (one, _), (other, _) = attach(streams, scheduler), attach(streams, scheduler)
    streams.move(one, Selector())
    assert (one.group.readers, other.group.readers) == (1, 1)
    assert one.group.selector == Selector()


@pytest.mark.parametrize(
    ("error", "reported"), [(BrokenPipeError(), 0), (RuntimeError("closed"), 0), (MemoryError(), 1)]
)
def test_a_write_that_fails_ends_that_stream_and_is_a_defect_only_where_nobody_foresaw_it(
    streams: Streams, scheduler: ManualScheduler, failures: Failures, error: Exception, reported: int
) -> None:
    (broken, transport), (well, reader) = attach(streams, scheduler), attach(streams, scheduler)
    transport.fail_writes(error)
    assert [streams.write(subscriber, b"x") for subscriber in (broken, well)] == [False, True]
    assert (transport.is_aborted, broken.state, bytes(reader.received)) == (True, State.CLOSED, b"x")
    assert (streams.counters.failed_writes, failures.counts["write"]) == (1, reported)


def test_what_raises_for_one_stream_cuts_that_one_off(
    streams: Streams, scheduler: ManualScheduler, failures: Failures
) -> None:
    def fail(subscriber: Subscriber) -> None:
        raise MemoryError

    subscriber, transport = attach(streams, scheduler)
    streams.safely("leave", fail, subscriber)
    assert (transport.is_aborted, len(streams), failures.counts) == (True, 0, {"leave": 1})


def test_a_bye_is_counted_and_said_once(streams: Streams, scheduler: ManualScheduler) -> None:
    subscriber, transport = attach(streams, scheduler)
    for _ in range(2):
        streams.bye(subscriber, "drain")
    assert transport.received.count(b"event: bye") == 1
    assert streams.counters.byes == {"drain": 1}
    assert transport.is_closing


async def test_it_says_when_the_last_stream_is_gone(streams: Streams, scheduler: ManualScheduler) -> None:
    assert streams.emptied().done(), "there is none"
    (one, _), (other, _) = attach(streams, scheduler), attach(streams, scheduler)
    emptied = streams.emptied()
    streams.forget(one)
    assert not emptied.done()
    streams.forget(other)
    assert emptied.done()
