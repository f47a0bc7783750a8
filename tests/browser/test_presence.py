"""Who is in a channel, and what is said there, from page to page."""

from tests.support.faulty_proxy import Fault

ENTER = """
([user, meta]) => {
  globalThis.room = sync.presence("portal", { userId: user, meta });
  globalThis.portal = sync.channel("portal");
  globalThis.heard = [];
  portal.on("typing", (payload, from) => heard.push([payload, from]));
}
"""


async def enters(tab, user, **meta):
    await tab.until("globalThis.sync?.state === 'connected'")
    await tab.page.evaluate(ENTER, [user, meta])


async def sees(tab, **people):
    """Waits until these are there, with what they say of themselves, and nobody else."""
    await tab.page.wait_for_function(
        """(people) => {
          const text = (users) => JSON.stringify(Object.entries(users).sort());
          return text(room.users) === text(people);
        }""",
        arg=people,
        timeout=60_000,
    )


async def test_pages_see_who_comes_changes_and_goes_and_hear_what_is_said(world):
    async with world() as one:
        ann, bob = await one.open(), await one.open()
        await enters(ann, "ann", name="Ann")
        await sees(ann, ann={"name": "Ann"})
        await enters(bob, "bob", name="Bob")
        for tab in (ann, bob):
            await sees(tab, ann={"name": "Ann"}, bob={"name": "Bob"})
        await bob.page.evaluate("room.update({ name: 'Bob', away: true })")
        await sees(ann, ann={"name": "Ann"}, bob={"name": "Bob", "away": True})
        await bob.page.evaluate("portal.send('typing', { on: true })")
        for tab in (ann, bob):
            await tab.until("heard.length === 1")
            assert await tab.value("heard") == [[{"on": True}, "bob"]]
        await bob.page.evaluate("room.leave()")
        await sees(ann, ann={"name": "Ann"})
        await bob.page.evaluate("portal.send('typing', { on: false })")
        await ann.until("heard.length === 2")
        await enters(bob, "bob", name="Bob")
        await sees(ann, ann={"name": "Ann"}, bob={"name": "Bob"})
        await bob.page.close()
        await sees(ann, ann={"name": "Ann"})


async def test_a_page_that_was_cut_off_is_there_again_with_what_it_said_of_itself(world):
    async with world() as one:
        ann, bob = await one.open(), await one.open()
        await enters(ann, "ann", name="Ann")
        await enters(bob, "bob", name="Bob")
        await sees(ann, ann={"name": "Ann"}, bob={"name": "Bob"})
        await one.restart()
        for tab in (ann, bob):
            await sees(tab, ann={"name": "Ann"}, bob={"name": "Bob"})


async def test_a_write_that_the_network_loses_is_told_to_who_made_it(world):
    async with world() as one:
        tab = await one.open()
        await enters(tab, "ann")
        await sees(tab, ann={})
        await one.proxy.become(Fault.BAD_GATEWAY, "/api/v1/sync/broadcast/portal")
        told = await tab.value("portal.send('typing').catch(({ status }) => status)")
        assert told == 502
        long = "x" * 2000
        told = await tab.page.evaluate(
            "(name) => room.update({ name }).catch(({ message }) => message)", long
        )
        assert "1024" in told


async def test_tabs_of_one_browser_are_one_user_over_one_stream(world):
    async with world() as one:
        context = await one.profile()
        first = await one.open(context, shared=True)
        second = await one.open(context, shared=True)
        other = await one.open()
        await enters(other, "bob")
        for tab in (first, second):
            await enters(tab, "ann", name="Ann")
        for tab in (first, second, other):
            await sees(tab, ann={"name": "Ann"}, bob={})
        assert len(await one.connections()) == 2
        await first.page.close()
        await sees(other, ann={"name": "Ann"}, bob={})
        await sees(second, ann={"name": "Ann"}, bob={})
        await second.page.evaluate("portal.send('typing')")
        await other.until("heard.length === 1")
