import asyncio

from gateway.runtime.outbox import Outbox
from tests.support.clock import ManualClock


def an_outbox(clock: ManualClock | None = None, max_bytes: int = 100) -> Outbox:
    return Outbox(clock or ManualClock(), max_bytes=max_bytes, max_age_seconds=5.0)


async def test_messages_come_out_in_order() -> None:
    outbox = an_outbox()

    for message in (b"one", b"two", b"three"):
        outbox.put(message)

    assert outbox.take(100) == [b"one", b"two", b"three"]
    assert outbox.take(100) == []
    assert outbox.lost == 0


async def test_no_more_come_out_than_was_asked_for() -> None:
    outbox = an_outbox()
    for message in (b"12345", b"67890", b"x"):
        outbox.put(message)

    assert outbox.take(10) == [b"12345", b"67890"]
    assert len(outbox) == 1
    assert outbox.take(10) == [b"x"]


async def test_one_that_is_larger_than_was_asked_for_comes_alone() -> None:
    outbox = an_outbox()
    for message in (b"1234567", b"8"):
        outbox.put(message)

    assert outbox.take(5) == [b"1234567"]
    assert outbox.take(5) == [b"8"]


async def test_the_oldest_go_where_there_are_too_many_bytes() -> None:
    outbox = an_outbox(max_bytes=10)

    for message in (b"1234", b"5678", b"90", b"ab"):
        outbox.put(message)

    assert outbox.take(100) == [b"5678", b"90", b"ab"]
    assert outbox.lost == 1


async def test_what_was_dropped_makes_room() -> None:
    outbox = an_outbox(max_bytes=10)

    for number in range(1000):
        outbox.put(b"%010d" % number)

    assert outbox.take(100) == [b"0000000999"]
    assert outbox.lost == 999


async def test_what_waited_for_too_long_is_dropped() -> None:
    clock = ManualClock()
    outbox = an_outbox(clock)
    outbox.put(b"stale")
    clock.advance(3.0)
    outbox.put(b"fresh")
    clock.advance(2.5)

    assert outbox.take(100) == [b"fresh"]
    assert outbox.lost == 1


async def test_what_is_stale_is_known_to_be_lost_although_nobody_takes_anything() -> None:
    clock = ManualClock()
    outbox = an_outbox(clock)
    outbox.put(b"stale")
    clock.advance(5.5)

    outbox.put(b"fresh")

    assert outbox.lost == 1
    assert len(outbox) == 1


async def test_waiting_ends_with_the_first_message() -> None:
    outbox = an_outbox()
    waiting = asyncio.ensure_future(outbox.wait(60.0))
    await asyncio.sleep(0)
    assert not waiting.done()

    outbox.put(b"one")

    await waiting
    await outbox.wait(60.0)


async def test_waiting_ends_after_its_time() -> None:
    outbox = an_outbox()
    outbox.put(b"one")
    outbox.take(100)

    await outbox.wait(0.001)

    assert outbox.take(100) == []


async def test_clearing_drops_all() -> None:
    outbox = an_outbox()
    outbox.put(b"one")
    outbox.put(b"two")

    outbox.clear()

    assert outbox.take(100) == []
    assert outbox.lost == 2
