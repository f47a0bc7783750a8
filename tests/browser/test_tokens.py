"""A token's life in a page: renewed before its end, asked for anew when refused, given up for good."""

import time

import pytest

from tests.support.api import EVENTS
from tests.support.loop import in_time
from tests.support.tokens import auth_settings, mint

GRANTS = {"subscribe": ["order"]}


class Issuer:
    """Gives tokens of `lifetime` seconds for a page, and counts them."""

    def __init__(self, lifetime=86_400.0, **grants):
        self.given = 0
        self._lifetime = lifetime
        self._grants = GRANTS | grants

    def give(self):
        self.given += 1
        return mint("ann", lifetime=self._lifetime, claims={"jti": str(self.given)}, **self._grants)


@pytest.fixture
def guarded(world):
    """Begins a world whose gateway asks for tokens; its publisher has one."""

    def begin(**sections):
        return world(auth=auth_settings(), **sections)

    return begin


async def test_a_token_is_renewed_before_its_end_and_nothing_is_lost(guarded):
    async with guarded() as one:
        one.publisher.authenticate()
        issuer = Issuer(lifetime=8.0)
        tab = await one.open(give_token=issuer.give)
        await tab.streams()
        async with one.publisher.steadily():
            await tab.until("got.filter(({ type }) => type === 'token-expiring').length >= 2")

        await tab.accounts_for(one.publisher.last)
        assert await tab.value("got.some(({ reason }) => reason === 'token_expired')") is False
        assert issuer.given >= 2


async def test_who_polls_has_its_token_renewed_as_well(guarded):
    async with guarded() as one:
        one.publisher.authenticate()
        await one.flag(stage="live", percentage=0, pollIntervalMs=200)
        issuer = Issuer(lifetime=3.0)
        tab = await one.open(give_token=issuer.give, components=["orders"])
        await tab.polls()
        async with one.publisher.steadily():
            await in_time(lambda: issuer.given >= 4, "tokens were renewed")
            await tab.has(one.publisher.last + 1)

        await tab.accounts_for(one.publisher.last)
        assert await tab.value("sync.transport") == "poll"


async def test_a_refused_token_is_asked_for_anew_once_and_the_stream_goes_on(guarded):
    async with guarded() as one:
        one.publisher.authenticate()
        given = iter(["no token at all", *[mint("ann", **GRANTS)] * 20])
        tab = await one.open(give_token=lambda: next(given))
        await tab.streams()
        await one.publisher.publish(5)

        await tab.accounts_for(5)


async def test_a_token_that_is_refused_again_ends_it(guarded):
    async with guarded() as one:
        asked = []
        tab = await one.open(give_token=lambda: asked.append(1) or "no token at all")
        await tab.becomes("failed")

        assert len(asked) == 2
        assert len(one.proxy.asked(EVENTS)) == 2
        assert await tab.value("sync.health") == "error"


async def test_who_may_not_see_what_it_asks_for_is_told_so_and_not_tried_again(guarded):
    async with guarded() as one:
        tab = await one.open(give_token=lambda: mint("ann", subscribe=["invoice"]))
        await tab.becomes("failed")

        assert len(one.proxy.asked(EVENTS)) == 1
        assert await tab.value("String(sync.error)") != "null"


async def test_a_revoked_subject_ends_there(guarded):
    async with guarded() as one:
        one.publisher.authenticate()
        issuer = Issuer()
        tab = await one.open(give_token=issuer.give)
        await tab.streams()
        async with one.operator() as admin:
            # A second ahead: the token's `iat` has no fractions.
            later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
            revoked = {"subject": "ann", "issuedBefore": later, "reason": "a test"}
            answer = await admin.http.post("/api/v1/admin/revocations", json=revoked)
            assert answer.status_code == 201, answer.text

        await tab.becomes("failed")
        assert await tab.value("got.some(({ reason }) => reason === 'revoked')")


async def test_new_grants_begin_with_a_reset(guarded):
    async with guarded() as one:
        one.publisher.authenticate()
        given = iter([mint("ann", **GRANTS), *[mint("ann", subscribe=["order", "invoice"])] * 20])
        tab = await one.open(give_token=lambda: next(given))
        await tab.streams()
        await one.publisher.publish(5)
        await tab.has(5)
        await tab.value("sync.reconnect()")
        one.proxy.cut()
        await tab.until("got.some(({ reason }) => reason === 'scope') || got.length > 5")
        await one.publisher.publish(5)

        await tab.accounts_for(10)
