"""Who is let in, for how long it counts, and what it is told who is not."""

import pytest

from gateway.access.admission import Admission, Rates
from gateway.access.occupancy import OpenLimits
from gateway.core.credentials import NOBODY, Credentials
from gateway.core.errors import Overloaded, TidegateError, TooManyRequests
from gateway.delivery.connection import Connection
from gateway.delivery.subscriber import Subscriber
from tests.support.clock import ManualClock
from tests.support.scheduler import ManualScheduler
from tests.support.transport import RecordingTransport

ANA, BEN = Credentials(subject="ana"), Credentials(subject="ben")
HERE, THERE = "192.0.2.1", "192.0.2.2"


def make(clock: ManualClock, limits: OpenLimits | None = None, **rates: float) -> Admission:
    return Admission(limits or OpenLimits(), Rates(**rates), clock)


def subscriber_of(clock: ManualClock, credentials: Credentials, address: str) -> Subscriber:
    transport = RecordingTransport(ManualScheduler(clock))
    connection = Connection.of(1, 0, address, "curl 8.5")
    return Subscriber(None, 0, transport, credentials=credentials, connection=connection)


@pytest.mark.parametrize(
    ("limits", "kind", "limit"),
    [
        (OpenLimits(streams=1), Overloaded, "streams"),
        (OpenLimits(streams_per_subject=1), TooManyRequests, "streams_per_subject"),
        (OpenLimits(streams_per_address=1), TooManyRequests, "streams_per_address"),
    ],
)
def test_a_stream_counts_until_it_fails_to_open(
    clock: ManualClock, limits: OpenLimits, kind: type[TidegateError], limit: str
) -> None:
    admission = make(clock, limits)
    one_fails = admission.stream(ANA, HERE)
    one_fails.__enter__()
    with pytest.raises(kind) as refusal, admission.stream(ANA, HERE):
        pytest.fail("it was let in")
    gone = ConnectionResetError()
    assert not one_fails.__exit__(type(gone), gone, None)

    assert refusal.value.headers == {"Retry-After": "5"}
    assert admission.refused.counts == {limit: 1}
    with admission.stream(ANA, HERE):
        pass


def test_a_kept_stream_counts_until_the_hub_says_that_it_ended(clock: ManualClock) -> None:
    admission = make(clock, OpenLimits(1, 1, 1))
    with admission.stream(ANA, HERE) as entry:
        entry.is_kept = True
    with pytest.raises(TooManyRequests), admission.stream(ANA, HERE):
        pytest.fail("it was let in")

    admission.ended(subscriber_of(clock, ANA, HERE))

    with admission.stream(ANA, HERE):
        pass


def test_a_long_poll_takes_the_room_of_a_stream_while_it_waits(clock: ManualClock) -> None:
    admission = make(clock, OpenLimits(streams=1), opens_per_second=0.001)
    with (
        admission.long_poll(NOBODY, HERE),
        pytest.raises(Overloaded),
        admission.stream(NOBODY, THERE),
    ):
        pytest.fail("it was let in")

    with admission.long_poll(NOBODY, HERE), pytest.raises(Overloaded), admission.long_poll(NOBODY, THERE):
        pytest.fail("it was let in")
    with admission.stream(NOBODY, HERE):
        pass


def test_so_many_streams_are_opened_in_a_second_whosever_they_are(clock: ManualClock) -> None:
    admission = make(clock, opens_per_second=2)
    for who in (ANA, BEN):
        with admission.stream(who, HERE):
            pass
    with pytest.raises(TooManyRequests) as refusal, admission.stream(NOBODY, THERE):
        pytest.fail("it was let in")
    assert refusal.value.headers == {"Retry-After": "1"}

    clock.advance(0.5)
    with admission.stream(NOBODY, THERE):
        pass
    assert admission.refused.counts == {"opens_per_second": 1}


def test_one_who_finds_no_room_takes_nothing_of_the_rate(clock: ManualClock) -> None:
    admission = make(clock, OpenLimits(streams_per_subject=1), opens_per_second=2)
    with admission.stream(ANA, HERE):
        for _ in range(5):
            with pytest.raises(TooManyRequests), admission.stream(ANA, HERE):
                pytest.fail("it was let in")
        with admission.stream(BEN, HERE):
            pass


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((ANA, HERE), (BEN, HERE)),
        ((ANA, HERE), (NOBODY, HERE)),
        ((NOBODY, HERE), (NOBODY, THERE)),
        ((Credentials(key="ana"), HERE), (ANA, HERE)),
        ((Credentials(key=HERE), HERE), (NOBODY, HERE)),
    ],
)
def test_each_publisher_has_a_rate_of_its_own(
    clock: ManualClock, one: tuple[Credentials, str], other: tuple[Credentials, str]
) -> None:
    admission = make(clock, publish_per_second=10)
    admission.check_rate("publish_per_second", *one, 10)
    with pytest.raises(TooManyRequests):
        admission.check_rate("publish_per_second", *one, 1)

    admission.check_rate("publish_per_second", *other, 10)
    assert admission.refused.counts == {"publish_per_second": 1}


def test_a_publisher_is_the_same_wherever_it_comes_from(clock: ManualClock) -> None:
    admission = make(clock, publish_per_second=10)
    admission.check_rate("publish_per_second", ANA, HERE, 10)
    admission.check_rate("publish_per_second", NOBODY, "2001:db8::1", 10)

    for who in ((ANA, THERE), (NOBODY, "2001:db8::2")):
        with pytest.raises(TooManyRequests):
            admission.check_rate("publish_per_second", *who, 1)


def test_a_batch_over_the_rate_goes_through_when_the_publisher_was_quiet_and_is_paid_for(
    clock: ManualClock,
) -> None:
    admission = make(clock, publish_per_second=10)
    admission.check_rate("publish_per_second", ANA, HERE, 25)
    with pytest.raises(TooManyRequests) as refusal:
        admission.check_rate("publish_per_second", ANA, HERE, 10)
    assert refusal.value.headers == {"Retry-After": "3"}

    clock.advance(2.5)
    admission.check_rate("publish_per_second", ANA, HERE, 10)
