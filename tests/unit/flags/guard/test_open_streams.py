"""flags/guard/open_streams.py: which streams reports may be about."""

from hypothesis import given
from hypothesis import strategies as st

from flags.guard.open_streams import CLOSED_SECONDS, OpenedStream, OpenStreams
from flags.guard.who import Who

MOST_OPEN, MOST_CLOSED = 4, 3
NAMES = st.integers(0, 9).map(str)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["wait", "open", "close", "drop", "acknowledge", "overdue"]),
        NAMES,
        st.sampled_from([None, "a", "b", "c"]),
    ),
    max_size=60,
)


def a_stream(client_id: str, attempt: str | None = None) -> OpenedStream:
    return OpenedStream(client_id, attempt, Who("s:ana"), ("orders",), ())


@given(STEPS)
def test_whatever_happens_no_more_is_remembered_than_there_is_room_for(
    steps: list[tuple[str, str, str | None]],
) -> None:
    streams = OpenStreams(MOST_OPEN, MOST_CLOSED)
    for now, (what, client_id, attempt) in enumerate(steps):
        if what in ("wait", "open"):
            streams.add(a_stream(client_id, attempt), now, waits=what == "wait")
        elif what == "close":
            streams.close(client_id, now)
        elif what == "drop":
            streams.drop(client_id)
            assert streams.named(client_id, None, now) == (None, None)
        elif what == "overdue":
            for stream in streams.overdue(now - 10):
                assert not streams.acknowledge(stream)
        else:
            stream, of_attempt = streams.named(client_id, attempt, now)
            assert of_attempt is None or of_attempt.attempt == attempt
            if stream is not None and streams.acknowledge(stream):
                assert not streams.acknowledge(stream)
        assert streams.waiting <= MOST_OPEN
        assert len(streams) <= MOST_OPEN + MOST_CLOSED
    streams.expire(len(steps) + CLOSED_SECONDS + 1)
    assert len(streams) <= MOST_OPEN


def test_one_that_waits_is_kept_before_one_that_does_not() -> None:
    streams = OpenStreams(2, 2)
    streams.add(a_stream("settled"), 1.0, waits=False)
    streams.add(a_stream("waiting"), 2.0, waits=True)
    streams.add(a_stream("new"), 3.0, waits=True)
    streams.add(a_stream("too many"), 4.0, waits=True)

    known = [streams.named(name, None, 5.0)[0] for name in ("settled", "waiting", "new", "too many")]

    assert [stream is not None for stream in known] == [False, True, True, False]
    assert streams.forgotten == 2
