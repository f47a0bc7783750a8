import assert from "node:assert/strict";
import { test } from "node:test";

import { createWorld } from "./support/shared_world.js";

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

test("nothing is left of a share that stopped", async () => {
  const world = createWorld();
  await openTabs(world, 2);
  world.tabs.forEach((tab) => tab.shared.stop());
  await world.settle();
  assert.equal(world.log.streams().length, 0);
  assert.equal(world.clock.pending(), 0);
  assert.equal(world.tabs[0].shared.status.state, "disconnected");
});
