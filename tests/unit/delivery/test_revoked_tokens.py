"""What a node knows of revocations, and that it keeps it."""

import asyncio

import orjson
import pytest

from gateway.core.access_errors import InvalidToken, RevocationsUnknown, TooManyRevocations
from gateway.core.credentials import NOBODY, Credentials
from gateway.core.errors import LogError
from gateway.core.events import REVOCATION, Cursor, Position
from gateway.core.revocations import Kind, Revocation
from gateway.delivery.revoked_tokens import BUCKETS, RevokedTokens
from tests.support.clock import ManualClock
from tests.support.events import an_event
from tests.support.loop import until
from tests.support.shared_store import Failure, MemorySharedStore

DAY = 86_400.0


class Shop:
    """A store, and the nodes that share it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.failure: Failure | None = None
        self.store = MemorySharedStore(self.clock, lambda: self.failure)
        self._positions = 0

    @property
    def now(self) -> float:
        return self.clock.wall_ms() / 1000

    async def node(self, most: int = 100) -> RevokedTokens:
        node = RevokedTokens(self.store, self.clock, most, held_seconds=30 * DAY)
        await node.start()
        return node

    def revoke(
        self, *nodes: RevokedTokens, kind: Kind = "subject", name: str = "ana", before: float | None = None
    ) -> None:
        """Comes out of the log at these nodes."""
        self._positions += 1
        issued_before = self.now if before is None else before
        event = Revocation(kind, name, issued_before, "left").event("2026-11-20T10:30:00.123Z")
        for node in nodes:
            node.take(event, Cursor("e", Position(self._positions, 0)))

    def token(self, subject: str = "ana") -> Credentials:
        return Credentials(subject=subject, issued_at=self.now - 1, expires_at=self.now + 3600)


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_a_token_that_was_revoked_is_refused_and_one_that_was_not_is_not(shop: Shop) -> None:
    node = await shop.node()
    token = shop.token()
    node.check(token)
    shop.revoke(node)
    with pytest.raises(InvalidToken) as refusal:
        node.check(token)
    assert (refusal.value.status, refusal.value.detail) == (401, "The token was revoked.")
    for good in (token._replace(issued_at=shop.now), shop.token("bo"), NOBODY):
        node.check(good)


async def test_before_it_knows_them_nobody_is_let_in(shop: Shop) -> None:
    node = RevokedTokens(shop.store, shop.clock)
    with pytest.raises(RevocationsUnknown):
        node.check(shop.token())
    shop.failure = "before"
    with pytest.raises(LogError):
        await node.start()
    with pytest.raises(RevocationsUnknown):
        node.check(shop.token())
    shop.failure = None
    await node.start()
    node.check(shop.token())


async def test_another_node_finds_them_when_it_starts(shop: Shop) -> None:
    first = await shop.node()
    names = [f"user-{number}" for number in range(5 * BUCKETS)]
    for name in names:
        shop.revoke(first, name=name)
    shop.revoke(first, kind="key", name="ci")
    shop.revoke(first, kind="tokenId", name="t1")
    await first.keep()
    second = await shop.node()
    assert sorted(second.revocations) == sorted(first.revocations)
    for credentials in (*map(shop.token, names), Credentials(key="ci"), Credentials(token_id="t1")):
        with pytest.raises(InvalidToken):
            second.check(credentials)


async def test_nodes_that_keep_at_the_same_time_lose_nothing_and_the_newest_time_counts(shop: Shop) -> None:
    nodes = [await shop.node() for _ in range(3)]
    for number, node in enumerate(nodes):
        for name in range(20):
            shop.revoke(node, name=f"user-{name}", before=shop.now - number)
        shop.revoke(node, name=f"only-{number}")
    await asyncio.gather(*(node.keep() for node in nodes))
    fresh = await shop.node()
    assert {held.revocation.name for held in fresh.revocations} == {
        *(f"user-{name}" for name in range(20)),
        *(f"only-{number}" for number in range(3)),
    }
    assert {held.revocation.issued_before for held in fresh.revocations} == {shop.now}


async def test_what_could_not_be_kept_is_kept_once_that_can_be(shop: Shop) -> None:
    node = await shop.node()
    shop.failure = "before"
    shop.revoke(node)
    with pytest.raises(LogError):
        await node.run()
    with pytest.raises(InvalidToken):
        node.check(shop.token())
    shop.failure = None
    running = asyncio.create_task(node.run())
    await until(lambda: shop.store.keys(), "it is kept")
    for name in ("bo", "cy", "di", "ed"):
        shop.revoke(node, name=name)
    await until(lambda: len(shop.store.keys()) > 1, "so is what comes later")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    with pytest.raises(InvalidToken):
        (await shop.node()).check(shop.token("ana"))


async def test_those_of_tokens_go_when_their_time_is_over_and_those_of_keys_do_not(shop: Shop) -> None:
    node = await shop.node()
    shop.revoke(node)
    shop.revoke(node, kind="key", name="ci")
    await node.keep()
    shop.clock.advance(29 * DAY)
    assert len((await shop.node()).revocations) == 2
    shop.clock.advance(2 * DAY)
    assert [held.revocation.name for held in (await shop.node()).revocations] == ["ci"]
    await node.keep()
    assert [held.revocation.name for held in node.revocations] == ["ci"]


async def test_there_is_room_for_so_many_and_always_for_one_that_is_there(shop: Shop) -> None:
    node = await shop.node(most=2)
    for name in ("ana", "bo"):
        node.check_room(("subject", name))
        shop.revoke(node, name=name)
    with pytest.raises(TooManyRevocations) as refusal:
        node.check_room(("tokenId", "t1"))
    assert refusal.value.status == 409
    node.check_room(("subject", "ana"))
    # Another node had room for it: it holds.
    shop.revoke(node, name="cy")
    with pytest.raises(InvalidToken):
        node.check(shop.token("cy"))


async def test_an_event_of_that_type_that_is_none_is_counted(shop: Shop) -> None:
    node = await shop.node()
    node.take(an_event(None, REVOCATION, data={"subject": 7}), Cursor("e", Position(1, 0)))
    assert (node.malformed, len(node.revocations)) == (1, 0)


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b"[7]", b'[{"subject": "ana"}]'])
async def test_what_is_damaged_lets_nobody_in(shop: Shop, damage: bytes) -> None:
    await shop.store.put("revocations:3", damage)
    node = RevokedTokens(shop.store, shop.clock)
    with pytest.raises(LogError):
        await node.start()
    with pytest.raises(RevocationsUnknown):
        node.check(shop.token())


async def test_nothing_but_what_holds_is_kept(shop: Shop) -> None:
    node = await shop.node()
    shop.revoke(node)
    await node.keep()
    (key,) = shop.store.keys()
    found = await shop.store.get(key)
    assert found is not None
    assert orjson.loads(found.value) == [
        {"subject": "ana", "issuedBefore": shop.now, "reason": "left", "madeAt": 0.0, "cursor": "e.1-0"}
    ]
