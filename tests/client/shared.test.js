import assert from "node:assert/strict";
import { test } from "node:test";

import { createSync } from "../../gateway/static/tidegate.js";
import { createClock } from "./support/clock.js";
import { createGateway } from "./support/gateway.js";
import "./support/loaded.js";
import { createVoice, createWorld } from "./support/shared_world.js";
import { createBrowser } from "./support/tabs.js";

const range = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

async function publish(world, count) {
  for (let i = 0; i < count; i += 1) {
    world.log.publish();
  }
  await world.settle();
}

async function openTabs(world, count) {
  for (let i = 0; i < count; i += 1) {
    world.open();
    await world.settle();
  }
}

test("ten tabs have one stream at the gateway, and each gets every event once", async () => {
  const world = createWorld();
  await openTabs(world, 10);
  await publish(world, 20);
  assert.equal(world.log.streams().length, 1);
  for (const tab of world.tabs) {
    assert.deepEqual(tab.numbers(), range(1, 20));
  }
});

test("a follower shows the leader's state by the transport shared", async () => {
  const world = createWorld();
  await openTabs(world, 2);
  assert.equal(world.leader().shared.status.transport, "sse");
  const [follower] = world.followers();
  assert.equal(follower.shared.status.state, "connected");
  assert.equal(follower.shared.status.transport, "shared");
});

test("what opens late begins where the leader is", async () => {
  const world = createWorld();
  await openTabs(world, 1);
  await publish(world, 5);
  const late = world.open();
  await world.settle();
  await publish(world, 5);
  assert.deepEqual(late.numbers(), range(6, 10));
  assert.equal(late.store.cursor, world.leader().store.cursor);
});

for (const end of ["kill", "stop", "pagehide"]) {
  test(`the next tab goes on from its own cursor after the leader's ${end}`, async () => {
    const world = createWorld();
    await openTabs(world, 4);
    await publish(world, 5);
    const first = world.leader();
    const ways = { kill: () => first.kill(), stop: () => first.shared.stop(), pagehide: () => first.page.fire("pagehide") };
    ways[end]();
    await publish(world, 5);
    await world.advance(3_000);
    await publish(world, 5);
    assert.notEqual(world.leader(), first);
    assert.equal(world.log.streams().length, 1);
    for (const tab of world.tabs.filter((other) => other !== first)) {
      assert.deepEqual(tab.numbers(), range(1, 15));
    }
  });
}

test("a leader that is frozen loses the lock after two heartbeats, and what it says late counts no more", async () => {
  const world = createWorld();
  await openTabs(world, 3);
  await publish(world, 5);
  const frozen = world.leader();
  frozen.freeze();
  await publish(world, 5);
  await world.advance(9_000);
  await publish(world, 5);
  assert.equal(world.followers().length, 1);
  frozen.thaw();
  await world.settle();
  await publish(world, 5);
  await world.advance(3_000);
  assert.equal(frozen.shared.leading, false);
  assert.equal(frozen.shared.status.transport, "shared");
  assert.equal(world.log.streams().length, 1);
  for (const tab of world.tabs) {
    assert.deepEqual(tab.numbers(), range(1, 20));
  }
});

test("a browser that slept as a whole keeps its leader", async () => {
  const world = createWorld();
  await openTabs(world, 3);
  const leader = world.leader();
  world.clock.sleep(3_600_000);
  await world.advance(10_000);
  assert.equal(world.leader(), leader);
});

test("a hidden leader whose timers are slow answers, and keeps the lock", async () => {
  const world = createWorld();
  await openTabs(world, 2);
  const leader = world.leader();
  leader.slowMs = 60_000;
  await world.advance(90_000);
  assert.equal(world.leader(), leader);
});

test("a page in the cache holds neither lock nor stream, and resumes when it is shown again", async () => {
  const world = createWorld();
  await openTabs(world, 2);
  const [first, second] = world.tabs;
  await publish(world, 3);
  first.page.fire("pagehide", { persisted: true });
  await publish(world, 3);
  assert.equal(first.shared.status.state, "paused");
  assert.equal(world.leader(), second);
  first.page.fire("pageshow", { persisted: true });
  await world.advance(2_500);
  assert.equal(first.shared.status.transport, "shared");
  await publish(world, 3);
  assert.deepEqual(first.numbers(), range(1, 9));
  assert.deepEqual(second.numbers(), range(1, 9));
});

test("a page that is told that it freezes hands over at once, and comes back as a follower", async () => {
  const world = createWorld();
  await openTabs(world, 2);
  const [first, second] = world.tabs;
  first.page.fire("freeze");
  await world.settle();
  assert.equal(world.leader(), second);
  first.page.fire("resume");
  await world.settle();
  assert.equal(first.shared.status.state, "connected");
});

test("a follower that is behind polls for itself once, and takes what is relayed after that", async () => {
  const world = createWorld();
  await openTabs(world, 1);
  await publish(world, 5);
  const { store } = world.leader();
  const kept = structuredClone(store.dump());
  // What a lane's change leaves: a ring that does not go back.
  await publish(world, 7);
  store.setLanes({ orders: ["nothing"] });
  store.setLanes({});
  await publish(world, 1);
  const late = world.open({ restored: kept });
  await world.settle();
  await publish(world, 5);
  assert.deepEqual(late.numbers(), range(6, 18));
});

test("where the state is kept, who is behind gets it from the leader", async () => {
  const world = createWorld({ state: true });
  await publish(world, 5);
  await openTabs(world, 1);
  const late = world.open();
  await world.settle();
  assert.deepEqual(
    late.got.map(({ type }) => type),
    ["state", "connected"],
  );
  assert.deepEqual(late.store.entities("order"), world.log.state());
  await publish(world, 2);
  assert.deepEqual(late.store.entities("order"), world.log.state());
});

test("reconnect of a follower asks the leader to", async () => {
  const world = createWorld();
  await openTabs(world, 2);
  const before = world.log.streams()[0];
  world.followers()[0].shared.reconnect();
  await world.settle();
  assert.notEqual(world.log.streams()[0], before);
  assert.equal(world.log.streams().length, 1);
});

test("a token that is refused lets each other tab try its own, once", async () => {
  const world = createWorld();
  const asked = [];
  world.log.refuse((tab) => {
    asked.push(tab);
    return 401;
  });
  await openTabs(world, 3);
  await world.advance(30_000);
  assert.deepEqual(asked, world.tabs);
  for (const tab of world.tabs) {
    assert.equal(tab.shared.status.state, "failed");
    assert.equal(tab.shared.status.error.status, 401);
  }
  world.log.refuse(() => null);
  world.tabs[0].shared.reconnect();
  await world.advance(3_000);
  assert.equal(world.leader(), world.tabs[0]);
  for (const tab of world.followers()) {
    assert.equal(tab.shared.status.state, "connected");
  }
});

test("one tab whose token is good leads for those whose tokens are not", async () => {
  const world = createWorld();
  world.log.refuse((tab) => (tab === world.tabs[1] ? null : 403));
  await openTabs(world, 3);
  await publish(world, 3);
  assert.equal(world.leader(), world.tabs[1]);
  assert.deepEqual(world.tabs[0].shared.status.state, "connected");
  assert.equal(world.tabs[2].numbers().length, 3);
});

test("a page that may not have locks leads itself", async () => {
  const world = createWorld({ locks: { request: () => Promise.reject(new DOMException("no", "SecurityError")) } });
  await openTabs(world, 1);
  const [tab] = world.tabs;
  await publish(world, 2);
  assert.equal(tab.shared.status.transport, "sse");
  assert.deepEqual(tab.numbers(), [1, 2]);
  tab.shared.stop();
  await world.settle();
  assert.equal(world.log.streams().length, 0);
});

test("a follower that comes to sight lets the leader look whether its connection is well", async () => {
  const world = createWorld();
  await openTabs(world, 2);
  world.followers()[0].page.fire("visibilitychange");
  await world.settle();
  assert.deepEqual(world.log.hinted(), [world.leader()]);
});

test("a later term is one by its number, however many digits that has", async () => {
  const world = createWorld({ clock: createClock({ wall: 900 }) });
  await openTabs(world, 3);
  await world.advance(5_000);
  world.leader().kill();
  await world.settle();
  await publish(world, 2);
  assert.deepEqual(world.followers()[0].numbers(), [1, 2]);
});

test("of whole clients one with a good token leads those whose tokens the gateway refuses", async () => {
  const clock = createClock();
  const gateway = createGateway({ clock });
  const browser = createBrowser({ clock });
  const refused = { status: 401, ok: false, headers: new Headers(), body: null, json: async () => ({}) };
  const asked = [];
  const open = (token) => {
    const fetch = (url, options) => {
      asked.push(token);
      return options.headers.Authorization === "Bearer good" ? gateway.fetch(url, options) : Promise.resolve(refused);
    };
    return createSync({ ...browser.open().options, fetch, baseUrl: "http://gateway.test", userId: "u", getToken: () => token, telemetry: false });
  };
  const tabs = [open("bad"), open("worse")];
  await browser.advance(30_000);
  assert.deepEqual(
    tabs.map((tab) => [tab.state, tab.error.status]),
    [
      ["failed", 401],
      ["failed", 401],
    ],
  );
  const tries = asked.length;
  await browser.advance(60_000);
  assert.equal(asked.length, tries);
  tabs.push(open("good"));
  await browser.advance(5_000);
  assert.deepEqual(
    tabs.map((tab) => [tab.state, tab.transport, tab.error]),
    [
      ["connected", "shared", null],
      ["connected", "shared", null],
      ["connected", "sse", null],
    ],
  );
  tabs.forEach((tab) => tab.close());
});

test("nothing is left of a share that stopped", async () => {
  const world = createWorld();
  await openTabs(world, 2);
  world.tabs.forEach((tab) => tab.shared.stop());
  await world.settle();
  assert.equal(world.log.streams().length, 0);
  assert.equal(world.clock.pending(), 0);
  assert.equal(world.tabs[0].shared.status.state, "disconnected");
});

const event = (n) => ({ type: "stage_change", id: `e1.${n}-0`, data: { entityType: "order", entityId: "O-1", data: { n } }, control: false });

/** A follower that is in step, at the first position, with a leader whose words a test gives. */
async function followed(options) {
  const world = createWorld(options);
  const leader = createVoice(world, { term: "7.b" });
  leader.lead();
  const tab = world.open({ restored: { cursors: { "": "e1.0-0" }, lanes: {}, entities: {}, complete: false } });
  await world.settle();
  await leader.say("beat");
  const { from } = leader.hellos()[0];
  await leader.say("welcome", { to: [from] });
  return { world, leader, tab, from };
}

test("late words of an earlier leader count no more, even where their numbers fit", async () => {
  const { world, leader, tab } = await followed();
  const late = createVoice(world, { term: "7.a" });
  await late.say("relay", { messages: [event(9)] });
  await late.say("beat", { status: { state: "failed", transport: "sse", error: null } });
  assert.deepEqual(tab.numbers(), []);
  assert.equal(tab.shared.status.state, "connecting");
  await leader.say("relay", { messages: [event(1)] });
  assert.deepEqual(tab.numbers(), [1]);
});

test("of two leaders of one moment all follow the same", async () => {
  const { world, tab, leader } = await followed();
  const other = createVoice(world, { term: "7.c" });
  await other.say("beat");
  const hello = other.hellos().at(-1);
  await other.say("welcome", { to: [hello.from] });
  await leader.say("relay", { messages: [event(9)] });
  await other.say("relay", { messages: [event(1)] });
  assert.deepEqual(tab.numbers(), [1]);
});

test("a follower is connected once it is in step, and not sooner", async () => {
  const world = createWorld();
  const leader = createVoice(world);
  leader.lead();
  const tab = world.open();
  await world.settle();
  await leader.say("beat");
  assert.equal(tab.shared.status.state, "connecting");
  await leader.say("welcome", { to: [leader.hellos()[0].from] });
  await leader.say("beat");
  assert.equal(tab.shared.status.state, "connected");
});

test("what was lost on the way is missed at the next heartbeat, and asked for", async () => {
  const { leader, tab, from } = await followed();
  await leader.say("relay", { number: 1, messages: [event(2)] });
  assert.deepEqual(tab.numbers(), []);
  const before = leader.hellos().length;
  await leader.say("beat", { number: 2, cursors: { "": "e1.2-0" } });
  assert.equal(leader.hellos().length, before + 1);
  await leader.say("relay", { number: 2, messages: [event(3)] });
  await leader.say("welcome", { to: [from], number: 2, cursors: { "": "e1.2-0" }, messages: [event(1), event(2)] });
  assert.deepEqual(tab.numbers(), [1, 2, 3]);
});

test("what comes twice is taken once", async () => {
  const { leader, tab } = await followed();
  const reset = { type: "reset", id: "e1.5-0", data: { reason: "trimmed", cursor: "e1.5-0", jitterMs: 0 }, control: true };
  await leader.say("relay", { messages: [reset] });
  await leader.say("relay", { messages: [reset] });
  assert.deepEqual(tab.got.map(({ type }) => type), ["reset"]);
});

test("a follower learns the lanes by the next heartbeat, where nothing is relayed", async () => {
  const { leader, tab } = await followed();
  const lanes = { orders: ["order"] };
  await leader.say("beat", { lanes, cursors: { "": "e1.4-0", orders: "e1.0-0" } });
  assert.deepEqual(tab.store.lanes, lanes);
  assert.deepEqual(tab.store.cursors, { "": "e1.4-0", orders: "e1.0-0" });
});

test("heartbeats of a leader that has nothing new change nothing in a follower", async () => {
  const world = createWorld();
  await openTabs(world, 2);
  await publish(world, 1);
  const [follower] = world.followers();
  const applied = [];
  follower.store.applied((message) => applied.push(message.type));
  const told = follower.went.length;
  await world.advance(20_000);
  assert.deepEqual(applied, []);
  assert.equal(follower.went.length, told);
});

test("a lane is merged once nothing in it is ahead of the leader", async () => {
  const { leader, tab } = await followed();
  await leader.say("beat", { lanes: { orders: ["order"] }, cursors: { "": "e1.4-0", orders: "e1.9-0" } });
  await leader.say("beat", { lanes: {}, cursors: { "": "e1.6-0" } });
  assert.deepEqual(tab.store.cursors, { "": "e1.6-0", orders: "e1.9-0" });
  await leader.say("beat", { lanes: {}, cursors: { "": "e1.9-0" } });
  assert.deepEqual(tab.store.cursors, { "": "e1.9-0" });
});

test("who has no cursor waits until the leader has one, and misses nothing from there on", async () => {
  const world = createWorld();
  world.log.setOffline(true);
  await openTabs(world, 1);
  const guest = createVoice(world);
  await guest.say("hello", { cursors: { "": "e1.0-0" }, complete: false });
  assert.deepEqual(guest.heard.filter(({ kind }) => kind === "welcome"), []);
  world.log.setOffline(false);
  await world.advance(1_000);
  assert.equal(guest.heard.filter(({ kind }) => kind === "welcome").length, 1);
});

test("the leader gives what lies in its ring, and no more than that", async () => {
  const world = createWorld();
  await openTabs(world, 1);
  await publish(world, 1_010);
  const guest = createVoice(world);
  const lacks = async (cursors, lanes = {}) => {
    await guest.say("hello", { cursors, lanes, complete: false });
    return guest.heard.filter(({ kind }) => kind === "welcome").at(-1).messages?.map(({ data }) => data.data.n) ?? null;
  };
  assert.deepEqual(await lacks({ "": "e1.1007-0" }), [1008, 1009, 1010]);
  assert.deepEqual(await lacks({ "": "e1.1010-0" }), []);
  assert.deepEqual((await lacks({ "": "e1.10-0" })).length, 1_000);
  assert.equal(await lacks({ "": "e1.9-0" }), null);
  assert.equal(await lacks({ "": null }), null);
  assert.equal(await lacks({ "": "e2.1007-0" }), null);
  assert.deepEqual(await lacks({ "": "e1.1010-0", orders: "e1.1009-0" }, { orders: ["order"] }), [1010]);
});

test("the ring has no more than 1 MB", async () => {
  const world = createWorld();
  await openTabs(world, 1);
  const { store } = world.leader();
  await publish(world, 1);
  for (let n = 2; n < 12; n += 1) {
    const { data, ...rest } = event(n);
    store.apply({ ...rest, data: { ...data, text: "x".repeat(200_000) } });
  }
  const guest = createVoice(world);
  await guest.say("hello", { cursors: { "": "e1.6-0" }, complete: false });
  await guest.say("hello", { cursors: { "": "e1.5-0" }, complete: false });
  assert.deepEqual(
    guest.heard.filter(({ kind }) => kind === "welcome").map(({ messages }) => messages?.length ?? null),
    [5, null],
  );
});

test("who has a cursor and not the whole state gets that of a leader who has it", async () => {
  const world = createWorld({ state: true });
  await publish(world, 3);
  await openTabs(world, 1);
  const cursors = { "": world.leader().store.cursor };
  const late = world.open({ restored: { cursors, lanes: {}, entities: {}, complete: false } });
  await world.settle();
  assert.deepEqual(late.got.map(({ type }) => type), ["reset", "state", "connected"]);
  assert.equal(late.got[0].data.state, true);
  assert.equal(late.store.complete, true);
  assert.deepEqual(late.store.entities("order"), world.log.state());
});

test("who is welcomed before the leader has the state gets it with the leader", async () => {
  const { leader, tab } = await followed({ state: true });
  const items = [{ entityId: "O-1", data: { n: 1 } }];
  const part = { entityType: "order", items, part: 1, last: true, cursor: "e1.1-0" };
  await leader.say("relay", { messages: [{ type: "state", id: "e1.1-0", data: part, control: true }] });
  assert.equal(tab.store.complete, true);
});

test("a poll of its own that fails is made again at the next heartbeat", async () => {
  const { leader, world, tab, from } = await followed();
  await publish(world, 3);
  await leader.say("beat", { number: 3, cursors: { "": "e1.3-0" } });
  world.log.setOffline(true);
  await leader.say("welcome", { to: [from], number: 3, cursors: { "": "e1.3-0" }, messages: null });
  const before = leader.hellos().length;
  world.log.setOffline(false);
  await leader.say("beat", { number: 3, cursors: { "": "e1.3-0" } });
  assert.equal(leader.hellos().length, before + 1);
  await leader.say("welcome", { to: [from], number: 3, cursors: { "": "e1.3-0" }, messages: null });
  assert.deepEqual(tab.numbers(), [1, 2, 3]);
});

test("a poll of its own that comes too late hands on nothing to a tab that leads meanwhile", async () => {
  const { leader, world, tab, from } = await followed();
  await leader.say("beat", { number: 3, cursors: { "": "e1.3-0" } });
  let answer;
  const polled = new Promise((resolve) => {
    answer = resolve;
  });
  world.log.holdPolls(polled);
  await leader.say("welcome", { to: [from], number: 3, cursors: { "": "e1.3-0" }, messages: null });
  world.browser.tabs[0].kill();
  await world.settle();
  assert.equal(tab.shared.leading, true);
  const at = tab.got.length;
  answer();
  await world.settle();
  assert.deepEqual(tab.got.slice(at), []);
});

test("a tab that joins hears who is in a channel, and that it is connected", async () => {
  const world = createWorld();
  await openTabs(world, 1);
  const { store } = world.leader();
  const say = (type, users) => store.apply({ type: "presence", data: { channel: "room", type, users }, control: true });
  say("sync", { a: { meta: {} }, b: { meta: {} } });
  say("join", { c: { meta: { at: 1 } } });
  say("leave", { a: { meta: {} } });
  const late = world.open();
  await world.settle();
  assert.deepEqual(
    late.got.map(({ type, data }) => [type, data.users ?? null]),
    [
      ["connected", null],
      ["presence", { b: { meta: {} }, c: { meta: { at: 1 } } }],
    ],
  );
});
