"""One node's view of an upstream that several serve: what it publishes, takes over and leaves to others."""

from collections.abc import Mapping, Sequence
from functools import partial

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.memory import MemoryLog
from adapters.upstream.asking.fetch import Fetched
from adapters.upstream.failures import BadAnswer, OtherStatus
from adapters.upstream.nodes.shared_bodies import BODY_TTL_SECONDS
from adapters.upstream.nodes.shared_snapshot import SharedSnapshot
from adapters.upstream.nodes.shared_tracker import SharedTracker
from adapters.upstream.tracker import Tracker
from gateway.core.errors import LogError, UpstreamError
from gateway.core.events import ORIGIN, Cursor, Event
from gateway.ports.leases import Leases
from gateway.ports.log import ONCE_SECONDS, Appended
from gateway.ports.route_counters import RouteCounters
from gateway.ports.upstreams import GivenAnswer
from gateway.runtime.leases import TTL_SECONDS, EveryLease, SharedLeases
from gateway.runtime.slices import Slices
from tests.support.clock import ManualClock
from tests.support.legacy import PATH, legacy_route, listed, order
from tests.support.shared_store import Failure, MemorySharedStore

ROUTE = legacy_route(interval_seconds=10.0, max_delete_ratio=1.0, timeout_seconds=0.3)
ENTRY = f"snapshot:{PATH}"
LEASE = f"poll:{PATH}"


def test_an_entry_with_a_colon_in_its_cursor_as_before_version_2_is_read() -> None:
    entry = SharedSnapshot("d", (), '"d"', True, {}, 0, 0, "e.7-0")
    assert SharedSnapshot.parse(entry.json().replace(b"e.7-0", b"e:7-0")) == entry


class Log(MemoryLog):
    """A memory log that notes its keys, and fails at chosen appends, before or after they are carried out."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock, max_events=10_000, max_age_seconds=1e9, max_bytes=2**26)
        self.keys: list[str] = []
        self.failures: dict[int, Failure] = {}

    async def append_once(self, events: Sequence[Event], key: str, digest: bytes) -> Appended:
        failure = self.failures.pop(len(self.keys), None)
        self.keys.append(key)
        if failure == "before":
            raise LogError("The log is out of reach.")
        appended = await super().append_once(events, key, digest)
        if failure == "after":
            raise LogError("The log is out of reach.")
        return appended

    async def held(self) -> list[tuple[str, str | None]]:
        """The events that it holds: their types and ids."""
        return [(one.event.event_type, one.event.entity_id) for one in await self.read(ORIGIN, 10_000)]


class EntryStore(MemorySharedStore):
    """A store of which the next puts of the entry fail as told."""

    def __init__(self, clock: ManualClock, failures: list[Failure | None]) -> None:
        self._putting = False
        self.published: list[int] = []
        super().__init__(clock, lambda: failures.pop(0) if self._putting and failures else None)

    async def put(
        self, key: str, value: bytes, *, expected: int | None = None, ttl_seconds: float | None = None
    ) -> int | None:
        self._putting = key == ENTRY
        if self._putting:
            self.published.append(SharedSnapshot.parse(value).published)
        try:
            return await super().put(key, value, expected=expected, ttl_seconds=ttl_seconds)
        finally:
            self._putting = False

    def bodies(self) -> int:
        """How many answers are kept there."""
        return sum(1 for key in self.keys() if key.startswith("body:"))


class Cluster:
    """Nodes before one upstream, with one log and one store."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.log = Log(clock)
        self.put_failures: list[Failure | None] = []
        self.store = EntryStore(clock, self.put_failures)
        self.body = listed()
        self.more: tuple[bytes, ...] = ()
        self.coded: bytes | None = None
        self.error: Exception | None = None
        self.problem: BadAnswer | None = None
        self.asked = 0
        self.pauses: list[float] = []
        self.leases = SharedLeases(self.store, "one", clock)
        self.one, self.other = self.node(self.leases), self.node(SharedLeases(self.store, "other", clock))

    def node(self, leases: Leases) -> SharedTracker:
        """A node that knows nothing yet."""
        make = partial(
            Tracker,
            ROUTE,
            self.log,
            self._fetch,
            self.clock,
            {},
            RouteCounters(),
            Slices(self.clock),
            batch_events=1,
        )
        return SharedTracker(ROUTE, make, self.log, leases, self.clock, self._pause)

    def fresh(self) -> SharedTracker:
        """One more node of the cluster."""
        return self.node(SharedLeases(self.store, "fresh", self.clock))

    def alone(self) -> SharedTracker:
        """A node that shares the store with those before and after it, and with nobody else."""
        return self.node(EveryLease(self.store))

    async def _fetch(self, validators: Mapping[str, str]) -> Fetched:
        self.asked += 1
        if self.error is not None:
            raise self.error
        coding = "" if self.coded is None else "gzip"
        headers = CIMultiDictProxy(CIMultiDict())
        return Fetched(headers, self.body, self.coded, coding, more=self.more, problem=self.problem)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def passes(self, seconds: float = 2 * ROUTE.interval_seconds) -> None:
        """By default so long that leases have run out and an answer is no longer recent."""
        self.clock.advance(seconds)

    def words(self) -> int:
        """How many words of an upstream are kept."""
        keys = self.store.keys()
        return sum(1 for key in keys if key.startswith("word:"))

    async def entry(self) -> SharedSnapshot:
        found = await self.store.get(ENTRY)
        assert found is not None
        return SharedSnapshot.parse(found.value)


@pytest.fixture
async def cluster(clock: ManualClock) -> Cluster:
    """Node `one` has asked, and has got an empty list; the upstream lists three orders now."""
    made = Cluster(clock)
    await made.one.poll()
    made.store.published.clear()
    made.passes()
    made.body = listed(order("A"), order("B"), order("C"))
    return made


CREATED = [("order_created", key) for key in "ABC"]


async def test_every_batch_has_a_key_of_its_own_and_the_entry_says_how_far_it_is(cluster: Cluster) -> None:
    await cluster.one.poll()

    assert await cluster.log.held() == CREATED
    assert len(set(cluster.log.keys)) == 3
    assert cluster.store.published == [0, 1, 2, 0]
    entry = await cluster.entry()
    assert not entry.pending
    assert entry.cursor == str(Cursor(cluster.log.epoch, (await cluster.log.bounds()).head))


@pytest.mark.parametrize("again", ["one", "other"])
@pytest.mark.parametrize("failure", ["before", "after"])
@pytest.mark.parametrize("at", [0, 1, 2])
async def test_a_change_whose_append_failed_is_published_once(
    cluster: Cluster, at: int, failure: Failure, again: str
) -> None:
    cluster.log.failures[at] = failure
    with pytest.raises(LogError):
        await cluster.one.poll()
    cluster.passes()
    node: SharedTracker = getattr(cluster, again)
    await node.poll()

    assert await cluster.log.held() == CREATED
    assert node.counts["completed"] == 1
    assert node.snapshot is not None
    assert node.snapshot.body == cluster.body
    assert not (await cluster.entry()).pending


@pytest.mark.parametrize("again", ["one", "other"])
@pytest.mark.parametrize("failure", ["before", "after"])
@pytest.mark.parametrize("at", [0, 1, 2, 3])
async def test_a_change_of_which_the_entry_could_not_be_set_is_published_once(
    cluster: Cluster, at: int, failure: Failure, again: str
) -> None:
    cluster.put_failures.extend([None] * at + [failure])
    with pytest.raises(LogError):
        await cluster.one.poll()
    cluster.passes()
    node: SharedTracker = getattr(cluster, again)
    await node.poll()

    assert await cluster.log.held() == CREATED
    assert not (await cluster.entry()).pending


async def test_what_could_not_be_shown_to_others_is_shown_at_the_next_look(cluster: Cluster) -> None:
    cluster.put_failures.extend([None, None, None, "before"])
    with pytest.raises(LogError):
        await cluster.one.poll()
    asked = cluster.asked
    assert (await cluster.entry()).pending
    await cluster.one.poll()

    assert not (await cluster.entry()).pending
    assert cluster.asked == asked


async def test_an_answer_that_another_node_has_is_taken_over_once(cluster: Cluster) -> None:
    await cluster.one.poll()
    await cluster.other.poll()
    taken = cluster.other.snapshot
    await cluster.other.poll()

    assert cluster.other.snapshot is taken


async def test_what_another_node_completes_has_the_cursor_after_its_own_events(cluster: Cluster) -> None:
    cluster.log.failures[1] = "before"
    with pytest.raises(LogError):
        await cluster.one.poll()
    asked = cluster.asked
    cluster.passes(TTL_SECONDS + 1)
    await cluster.other.poll()

    assert cluster.asked == asked, "the answer is recent: its cursor is as it was left"
    assert cluster.other.snapshot is not None
    cursor = Cursor.parse(cluster.other.snapshot.cursor)
    assert cursor is not None
    assert await cluster.log.read(cursor.position, 10) == []


async def test_what_is_pending_is_not_served_by_others(cluster: Cluster) -> None:
    await cluster.one.poll()
    await cluster.other.poll()
    before = cluster.body
    cluster.body = listed(order("Z"))
    cluster.log.failures[len(cluster.log.keys) + 1] = "before"
    with pytest.raises(LogError):
        await cluster.one.poll(fresh=True)
    await cluster.other.poll()

    assert (await cluster.entry()).pending
    assert cluster.other.snapshot is not None
    assert cluster.other.snapshot.body == before


async def test_a_node_that_was_overtaken_publishes_nothing_and_serves_what_the_other_got(
    cluster: Cluster,
) -> None:
    put = cluster.store.put

    async def overtaken(key: str, value: bytes, **options: object) -> int | None:
        if key == ENTRY:
            cluster.store.put = put  # type: ignore[method-assign]
            await cluster.other.poll(fresh=True)
        return await put(key, value, **options)  # type: ignore[arg-type]

    cluster.store.put = overtaken  # type: ignore[method-assign]
    await cluster.one.poll()

    assert await cluster.log.held() == CREATED
    assert (cluster.one.counts["overtaken"], cluster.other.counts["overtaken"]) == (1, 0)
    assert not cluster.one.is_leading
    assert cluster.one.snapshot is not None
    assert cluster.one.snapshot.body == cluster.body


async def test_an_answer_that_is_recent_is_not_asked_for_again(cluster: Cluster) -> None:
    await cluster.one.poll()
    asked = cluster.asked
    cluster.passes(0.89 * ROUTE.interval_seconds)
    await cluster.one.poll()
    assert cluster.asked == asked

    cluster.passes(0.02 * ROUTE.interval_seconds)
    await cluster.one.poll()
    assert cluster.asked == asked + 1


async def test_a_fresh_answer_is_asked_for_however_recent_the_last_one_is(cluster: Cluster) -> None:
    await cluster.one.poll()
    asked = cluster.asked
    await cluster.one.poll(fresh=True)
    assert cluster.asked == asked + 1


async def test_an_answer_whose_cursor_is_of_a_history_that_is_over_is_asked_for_again(
    cluster: Cluster,
) -> None:
    await cluster.one.poll()
    asked = cluster.asked
    cluster.log.epoch = "another"
    await cluster.one.poll()

    assert cluster.asked == asked + 1
    assert cluster.one.snapshot is not None
    assert cluster.one.snapshot.cursor.startswith("another.")


async def test_the_body_to_compare_with_is_kept_anew_long_before_it_runs_out(cluster: Cluster) -> None:
    await cluster.one.poll()
    for _ in range(6):
        cluster.passes(BODY_TTL_SECONDS / 4)
        await cluster.one.poll()
    cluster.body = listed()
    cluster.passes(BODY_TTL_SECONDS / 2)
    await cluster.other.poll()

    assert cluster.other.counts["lost"] == 0
    assert [kind for kind, _ in await cluster.log.held()] == ["order_created"] * 3 + ["order_deleted"] * 3


async def test_the_body_of_an_answer_that_is_over_is_let_go(cluster: Cluster) -> None:
    for number, node in enumerate((cluster.one, cluster.one, cluster.other, cluster.one)):
        cluster.body = listed(order(number))
        cluster.passes()
        await node.poll()
        assert cluster.store.bodies() == 1


async def test_the_body_of_a_change_that_another_node_completes_is_let_go(cluster: Cluster) -> None:
    cluster.log.failures[1] = "before"
    with pytest.raises(LogError):
        await cluster.one.poll()
    assert cluster.store.bodies() == 2
    cluster.passes()
    await cluster.other.poll()

    assert cluster.store.bodies() == 1


async def test_a_body_that_comes_again_is_there_whichever_node_let_go_of_it(cluster: Cluster) -> None:
    bodies = [listed(order("A")), listed(order("B"))]
    for number, node in enumerate((cluster.one, cluster.other, cluster.one, cluster.other, cluster.one)):
        cluster.body = bodies[number % 2]
        cluster.passes()
        await node.poll()
        fresh = cluster.fresh()
        await fresh.poll()
        assert fresh.snapshot is not None
        assert fresh.snapshot.body == cluster.body
        assert fresh.counts["lost"] == 0


async def test_a_body_that_another_node_has_just_kept_anew_is_not_removed(cluster: Cluster) -> None:
    """The upstream goes back to what it said before while this node still drops that."""
    await cluster.one.poll()
    again, cluster.body = cluster.body, listed(order("B"))
    cluster.passes()
    remove = cluster.store.remove

    async def late(key: str, *, expected: int | None = None) -> bool:
        cluster.store.remove = remove  # type: ignore[method-assign]
        cluster.body = again
        await cluster.other.poll(fresh=True)
        return await remove(key, expected=expected)

    cluster.store.remove = late  # type: ignore[method-assign]
    await cluster.one.poll()
    fresh = cluster.fresh()
    await fresh.poll()

    assert fresh.snapshot is not None
    assert fresh.snapshot.body == again


async def test_a_lost_base_is_counted_and_begun_anew(cluster: Cluster) -> None:
    await cluster.one.poll()
    entry = await cluster.entry()
    await cluster.store.remove(f"body:{PATH}:{entry.digest}:0")
    cluster.passes()
    cluster.body = listed(order("Z"))
    await cluster.other.poll()

    assert cluster.other.counts["lost"] == 1
    assert await cluster.log.held() == CREATED


async def test_who_has_nothing_to_serve_waits_for_the_node_that_asks_and_says_so_in_the_end(
    clock: ManualClock,
) -> None:
    cluster = Cluster(clock)
    assert await cluster.leases.acquire(LEASE)
    with pytest.raises(UpstreamError, match="has no answer of it yet"):
        await cluster.other.poll()

    assert sum(cluster.pauses) == pytest.approx(ROUTE.timeout_seconds)


async def test_an_answer_that_its_node_could_not_renew_is_not_served(cluster: Cluster) -> None:
    await cluster.one.poll()
    await cluster.other.poll()
    # The node is alive, and has no newer answer.
    assert await cluster.leases.acquire(LEASE)
    late = 3 * ROUTE.interval_seconds + 5.0
    for _ in range(int(late // (TTL_SECONDS / 2))):
        cluster.passes(TTL_SECONDS / 2)
        await cluster.leases.renew(LEASE)
        await cluster.other.poll()
    cluster.passes(TTL_SECONDS / 2)
    with pytest.raises(UpstreamError, match="has had no answer for"):
        await cluster.other.poll()


async def test_who_rests_leaves_the_asking_to_others(cluster: Cluster) -> None:
    await cluster.one.poll()
    await cluster.one.rest()
    cluster.passes(ROUTE.interval_seconds)
    await cluster.other.poll()

    assert (cluster.one.is_leading, cluster.other.is_leading) == (False, True)


async def test_what_a_process_that_was_alone_published_is_not_published_again_by_the_next(
    clock: ManualClock,
) -> None:
    """However long after: the log forgets its keys, so the entry must not stay pending."""
    cluster = Cluster(clock)
    before = cluster.alone()
    await before.poll()
    cluster.passes()
    cluster.body = listed(order("A"))
    await before.poll()
    assert not (await cluster.entry()).pending
    cluster.passes(ONCE_SECONDS + 1)
    after = cluster.alone()
    await after.poll()

    assert await cluster.log.held() == CREATED[:1]
    assert after.counts["completed"] == 0


async def test_a_node_that_is_alone_keeps_an_unchanged_answer_once(clock: ManualClock) -> None:
    cluster = Cluster(clock)
    one = cluster.alone()
    for _ in range(3):
        await one.poll()
        cluster.passes()

    assert cluster.asked == 3
    assert cluster.store.published == [0]


async def test_a_process_that_was_alone_leaves_what_to_compare_with_however_old_it_is(
    clock: ManualClock,
) -> None:
    cluster = Cluster(clock)
    cluster.body = listed(order("A"))
    before = cluster.alone()
    for _ in range(9):
        await before.poll()
        cluster.passes(BODY_TTL_SECONDS / 4)
    cluster.body = listed()
    after = cluster.alone()
    await after.poll()

    assert after.counts["lost"] == 0
    assert await cluster.log.held() == [("order_deleted", "A")]


async def test_an_answer_is_kept_anew_where_the_store_lost_everything(clock: ManualClock) -> None:
    cluster = Cluster(clock)
    for node in (cluster.one, cluster.alone()):
        await node.poll()
        for key in list(cluster.store.keys()):
            await cluster.store.remove(key)
        cluster.passes()
        await node.poll()
        cluster.passes()
        fresh = cluster.fresh()
        await fresh.poll()

        assert cluster.store.bodies() == 1
        assert fresh.counts["lost"] == 0


async def test_a_node_that_followed_for_long_lets_go_only_of_what_it_took_over_last(
    cluster: Cluster,
) -> None:
    for number in range(5):
        cluster.body = listed(order(number))
        await cluster.one.poll(fresh=True)
        await cluster.other.poll()
    removed: list[str] = []
    remove = cluster.store.remove

    async def noted(key: str, *, expected: int | None = None) -> bool:
        removed.append(key)
        return await remove(key, expected=expected)

    cluster.store.remove = noted  # type: ignore[method-assign]
    cluster.body = listed()
    await cluster.other.poll(fresh=True)

    assert len(removed) == 1


async def test_what_can_not_be_compared_is_served_by_all_nodes_and_the_good_answer_kept(
    cluster: Cluster,
) -> None:
    await cluster.one.poll()
    cluster.body = b"<html>"
    cluster.passes()
    with pytest.raises(BadAnswer):
        await cluster.one.poll()
    assert await cluster.other.poll()

    for node in (cluster.one, cluster.other):
        assert node.unusable is not None
        assert (node.unusable.body, node.unusable.problem) == (b"<html>", "not_json")
        assert node.snapshot is not None
        assert node.snapshot.body == listed(order("A"), order("B"), order("C"))
    assert cluster.store.bodies() == 2


async def test_whoever_takes_over_compares_with_the_last_good_answer(cluster: Cluster) -> None:
    await cluster.one.poll()
    cluster.body = b"<html>"
    cluster.passes()
    with pytest.raises(BadAnswer):
        await cluster.one.poll()
    cluster.body = listed(order("B"), order("C"))
    cluster.passes()
    fresh = cluster.fresh()
    assert await fresh.poll()

    assert fresh.unusable is None
    assert await cluster.log.held() == [*CREATED, ("order_deleted", "A")]
    assert await cluster.one.poll()
    assert cluster.one.unusable is None
    assert cluster.store.bodies() == 1


async def test_the_first_answer_of_all_is_served_by_all_nodes_though_it_can_not_be_compared(
    clock: ManualClock,
) -> None:
    cluster = Cluster(clock)
    cluster.body = b"<html>"
    with pytest.raises(BadAnswer):
        await cluster.one.poll()
    assert await cluster.other.poll()

    assert (cluster.other.snapshot, cluster.other.counts["lost"]) == (None, 0)
    assert cluster.other.unusable is not None
    cluster.body = listed(order("A"))
    cluster.passes()
    fresh = cluster.fresh()
    assert await fresh.poll()
    assert (fresh.unusable, fresh.counts["lost"], await cluster.log.held()) == (None, 0, [])


async def test_an_answer_that_fails_otherwise_leaves_what_is_served(cluster: Cluster) -> None:
    await cluster.one.poll()
    cluster.body = b"<html>"
    cluster.passes()
    with pytest.raises(BadAnswer):
        await cluster.one.poll()
    entry = await cluster.entry()
    cluster.error = BadAnswer("status", "The upstream answered with status 500.")
    cluster.passes()
    with pytest.raises(BadAnswer, match="500"):
        await cluster.one.poll()

    assert (await cluster.entry()).unusable == entry.unusable
    assert cluster.one.unusable is not None


async def test_a_list_of_several_answers_is_completed_from_what_its_items_were_read_from(
    cluster: Cluster,
) -> None:
    cluster.more = (listed(order("D")),)
    await cluster.one.poll()
    cluster.more = (listed(order("E")),)
    cluster.log.failures[len(cluster.log.keys)] = "after"
    cluster.passes()
    with pytest.raises(LogError):
        await cluster.one.poll()
    cluster.passes()
    fresh = cluster.fresh()
    assert await fresh.poll()

    assert await cluster.log.held() == [
        *CREATED,
        ("order_created", "D"),
        ("order_deleted", "D"),
        ("order_created", "E"),
    ]
    assert fresh.counts["completed"] == 1
    assert fresh.snapshot is not None
    assert list(await fresh.items_of(fresh.snapshot)) == ["A", "B", "C", "E"]
    # A body and a text, and those that were compared with are gone.
    assert cluster.store.bodies() == 2


async def test_what_came_packed_is_served_packed_by_all_nodes(cluster: Cluster) -> None:
    cluster.coded = b"packed"
    await cluster.one.poll()
    assert await cluster.other.poll()

    assert cluster.other.snapshot is not None
    assert (cluster.other.snapshot.coded, cluster.other.snapshot.coding) == (b"packed", "gzip")


def says(status: int, retry_after_seconds: float | None = None) -> GivenAnswer:
    return GivenAnswer(status, CIMultiDict({"X-Why": "so"}), b"\xff no", retry_after_seconds)


async def word_of(node: SharedTracker, *, fresh: bool = False) -> GivenAnswer:
    with pytest.raises(OtherStatus) as raised:
        await node.poll(fresh=fresh)
    return raised.value.answer


async def test_without_a_list_the_others_have_the_upstreams_word_without_asking(clock: ManualClock) -> None:
    cluster = Cluster(clock)
    cluster.error = OtherStatus(says(403))

    assert await word_of(cluster.one) == says(403)
    assert await word_of(cluster.other) == says(403)
    assert (cluster.asked, cluster.pauses) == (1, [])

    cluster.error = None
    await cluster.one.poll()
    assert await cluster.other.poll()
    assert cluster.words() == 0


async def test_where_the_list_is_too_old_the_others_are_told_why(cluster: Cluster) -> None:
    await cluster.one.poll()
    await cluster.other.poll()
    cluster.error = OtherStatus(says(500))
    for _ in range(4):
        cluster.passes(ROUTE.interval_seconds)
        await cluster.leases.acquire(LEASE)
        await word_of(cluster.one)

    assert await word_of(cluster.other) == says(500)


@pytest.mark.parametrize("fresh", [False, True])
async def test_an_upstream_is_left_alone_by_every_node(cluster: Cluster, fresh: bool) -> None:
    cluster.error = OtherStatus(says(429, 3600.0))
    await word_of(cluster.one)
    cluster.passes(1200.0)
    asked = cluster.asked
    left = await word_of(cluster.fresh(), fresh=fresh)
    assert left.retry_after_seconds == 2400.0
    assert cluster.asked == asked

    cluster.passes(2400.0)
    cluster.error = None
    await cluster.fresh().poll(fresh=fresh)
    assert cluster.asked == asked + 1


async def test_an_upstream_that_gave_the_first_page_alone_is_left_alone_by_every_node(
    cluster: Cluster,
) -> None:
    cluster.problem = OtherStatus(says(429, 3600.0))
    await word_of(cluster.one)
    asked = cluster.asked
    assert await cluster.other.poll()
    assert cluster.other.unusable is not None

    cluster.passes(10.0)
    left = await word_of(cluster.fresh(), fresh=True)
    assert (left.retry_after_seconds, cluster.asked) == (3590.0, asked)


async def test_a_word_that_does_not_ask_for_a_pause_keeps_no_node_from_asking(cluster: Cluster) -> None:
    cluster.error = OtherStatus(says(500))
    await word_of(cluster.one)
    cluster.error = None

    assert await cluster.other.poll(fresh=True)


async def test_a_word_of_which_the_others_can_not_be_told_counts_all_the_same(cluster: Cluster) -> None:
    cluster.error = OtherStatus(says(500))
    put = cluster.store.put

    async def fails(key: str, value: bytes, **options: object) -> int | None:
        if key.startswith("word:"):
            raise LogError("The server is out of reach.")
        return await put(key, value, **options)  # type: ignore[arg-type]

    cluster.store.put = fails  # type: ignore[method-assign]
    assert await word_of(cluster.one) == says(500)


async def test_what_can_not_be_handed_out_is_known_to_every_node(clock: ManualClock) -> None:
    cluster = Cluster(clock)
    cluster.error = BadAnswer("too_large", "The upstream's answer is over 9 bytes.")
    for node in (cluster.one, cluster.other):
        with pytest.raises(BadAnswer, match="over 9 bytes"):
            await node.poll()
    assert cluster.asked == 1

    # Nobody said that the upstream is to be left alone.
    cluster.error = None
    assert await cluster.other.poll(fresh=True)


async def test_a_process_that_is_alone_tells_nobody(clock: ManualClock) -> None:
    cluster = Cluster(clock)
    cluster.error = OtherStatus(says(500))
    await word_of(cluster.alone())

    assert cluster.words() == 0
