"""The lists of one route, whatever is asked for, wanted, answered and left, in whatever order."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from adapters.memory import MemoryLog
from tests.support.clock import ManualClock
from tests.support.list_world import ListWorld
from tests.support.loop import let_others_run

MOST = 2
_values = st.sampled_from("abcd")
_steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["ask", "ask", "ask a query", "want", "want no more"]), _values),
        st.tuples(st.sampled_from(["leave", "answer"]), st.just("")),
    ),
    max_size=40,
)


@given(_steps)
def test_no_list_that_is_wanted_goes_and_no_answer_goes_untold(steps: list[tuple[str, str]]) -> None:
    asyncio.run(_hold(steps))


async def _hold(steps: list[tuple[str, str]]) -> None:
    clock = ManualClock()
    log = MemoryLog(clock, max_events=1000, max_age_seconds=1e9, max_bytes=2**20)
    world = ListWorld(
        clock,
        log,
        path="/c/{customer}",
        upstream="http://127.0.0.1:9000/{customer}",
        vary_query=("status",),
        max_variants=MOST,
    )
    # The values whose last answer was dropped, and which have no list since.
    lost: set[str] = set()
    held: dict[str, bool] = {}
    # Those that were wanted while there was no list of them.
    waited: set[str] = set()
    try:
        for step, value in steps:
            waited |= {values[0] for values in world.rows.wanted} - held.keys()
            served = {values[0] for values in world.rows.wanted} & held.keys()
            await _take(world, step, value)
            now = {one.route.members["customer"]: one for one in world.lists if not one.route.variant}
            assert len(list(world.lists)) <= MOST
            assert len(world.tasks.failures) == len(list(world.lists))
            assert not served & {values[0] for values in world.rows.wanted} - now.keys(), "it was wanted"
            lost |= {value for value, has_answer in held.items() if has_answer and value not in now}
            for came in now.keys() - held.keys():
                assert now[came].gap.is_open or came not in lost
                assert not now[came].gap.is_open or came in lost | waited
            lost -= {value for value, one in now.items() if one.poller.has_answer}
            held = {value: one.poller.has_answer or one.gap.is_open for value, one in now.items()}
    finally:
        await world.tasks.close()
        world.lists.close()


async def _take(world: ListWorld, step: str, value: str) -> None:
    match step:
        case "ask":
            world.ask(value)
        case "ask a query":
            world.ask(value, variant="status=x")
        case "want":
            world.rows.want(value)
            world.lists.wake()
        case "want no more":
            world.rows.wanted.discard((value,))
        case "answer":
            for one in list(world.lists):
                if world.made[one.route.name][-1].answers.is_asked:
                    await world.answers(one)
        case "leave":
            await world.all_leave()
    await let_others_run()
