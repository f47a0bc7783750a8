// The client's connection over the model gateway: each way it goes, and each way back.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createWorld } from "./support/connected.js";
import { settle } from "./support/clock.js";

/** A world whose connection has started, and done what it does at once. */
async function started(options) {
  const world = createWorld(options);
  world.connection.start();
  await world.clock.advance(0);
  return world;
}

const opened = (world) => world.gateway.asked("events");
const polled = (world) => world.gateway.asked("poll");
const token = (name, exp) => `h.${btoa(JSON.stringify({ sub: "user-1", name, exp }))}.s`;

/** Every event of the gateway came, once and in order. */
function assertAll(world, events) {
  assert.deepEqual(world.events, events.map((event) => event.id));
}

// Streams.

test("a stream hands on what comes, and resumes after its cursor", async () => {
  const world = await started();
  assert.equal(world.status.state, "connected");
  const first = world.gateway.publish();
  await settle();
  world.gateway.stream.cut();
  const second = world.gateway.publish();
  await world.clock.advance(500);
  assertAll(world, [first, second]);
  assert.equal(opened(world).at(-1).params.get("lastEventId"), first.id);
  assert.equal(world.status.transport, "sse");
});

test("a request needs no preflight, and is never answered from a cache", async () => {
  const world = await started({ settings: { credentials: "include" } });
  const [{ headers, options, params }] = opened(world);
  assert.deepEqual(headers, { Accept: "text/event-stream" });
  assert.deepEqual(options, { credentials: "include", cache: "no-store" });
  assert.equal(params.get("clientId"), "browser-1");
  assert.equal(params.get("lastEventId"), null);
});

test("what `connected` said is in the status", async () => {
  const world = await started();
  assert.deepEqual({ ...world.status, modes: { ...world.status.modes } }, {
    state: "connected",
    transport: "sse",
    error: null,
    modes: { orders: "streaming", invoices: "streaming" },
    clientId: "client-1",
    heartbeatMs: 15_000,
    firstEventMs: 0,
    reason: null,
  });
  assert.ok(Object.isFrozen(world.status));
});

test("who stops in the midst of what came together gets none of the rest", async () => {
  const world = await started();
  world.store.on("message", () => world.connection.stop());
  const data = '{"eventType":"stage_change"}';
  world.gateway.stream.send(`id: e1.1-0\ndata: ${data}\n\nid: e1.2-0\ndata: ${data}\n\n`);
  await settle();
  assert.deepEqual(world.events, ["e1.1-0"]);
});

test("a gateway that says less of itself than it should is served all the same", async () => {
  const world = createWorld();
  world.gateway.setMode("orders", "polling");
  world.gateway.setMode("invoices", "polling");
  world.connection.start();
  await world.clock.advance(0);
  world.gateway.setMode("orders", "streaming");
  world.gateway.setMode("invoices", "streaming");
  await world.clock.advance(6000);
  world.gateway.stream.send("event: connected\ndata: {}\n\nevent: fetch-mode\ndata: {}\n\n");
  const event = world.gateway.publish();
  await settle();
  assertAll(world, [event]);
  world.gateway.stream.send('event: bye\ndata: {"reconnect":true}\n\n');
  await world.clock.advance(1000);
  assert.equal(world.status.state, "connected");
});

test("what is no JSON object is dropped and counted, and what follows comes", async () => {
  const world = await started();
  for (const data of ["[1]", "7", "null", "{", "\"text\""]) {
    world.gateway.stream.send(`event: stage_change\ndata: ${data}\n\n`);
  }
  const event = world.gateway.publish();
  await settle();
  assertAll(world, [event]);
  assert.equal(world.store.counters.malformed, 5);
});

test("a control event without data breaks nothing", async () => {
  const world = await started();
  for (const type of ["connected", "reset", "state", "fetch-mode", "token-expiring", "bye", "heartbeat"]) {
    world.gateway.stream.send(`event: ${type}\ndata: 7\n\n`);
  }
  const event = world.gateway.publish();
  await settle();
  assertAll(world, [event]);
});

test("a frame without a type is a message, whatever its event says", async () => {
  const world = await started();
  world.gateway.stream.send('id: e1.1-0\ndata: {"eventType":"stage_change"}\n\nid: e1.2-0\ndata: {}\n\n');
  await settle();
  assert.deepEqual(world.types(), ["connected", "message", "message"]);
});

// Loss, retries, polling as a fallback.

test("polling starts two seconds after the stream was lost, while streams are tried again", async () => {
  const world = await started();
  world.gateway.answerAlways("events", 502);
  const first = world.gateway.publish();
  await settle();
  world.gateway.stream.cut();
  await world.clock.advance(1999);
  assert.equal(polled(world).length, 0);
  assert.equal(world.status.transport, "sse");
  assert.ok(opened(world).length > 1);
  await world.clock.advance(1);
  assert.equal(world.status.transport, "poll");
  assert.equal(world.status.state, "connected");
  assert.equal(world.status.reason, "error");
  const second = world.gateway.publish();
  const tries = opened(world).length;
  await world.clock.advance(60_000);
  assertAll(world, [first, second]);
  assert.ok(opened(world).length > tries);
});

test("polling ends once a stream goes on after the cursor", async () => {
  const world = await started();
  world.gateway.answerAlways("events", 502);
  world.gateway.stream.cut();
  await world.clock.advance(10_000);
  assert.equal(world.status.transport, "poll");
  world.gateway.answerAlways("events", null);
  await world.clock.advance(30_000);
  assert.equal(world.status.transport, "sse");
  assert.equal(world.status.reason, null);
  const polls = polled(world).length;
  const event = world.gateway.publish();
  await world.clock.advance(30_000);
  assert.equal(polled(world).length, polls);
  assertAll(world, [event]);
});

test("a reset that was handed on ends polling too", async () => {
  const world = await started();
  world.gateway.publish();
  world.gateway.answerAlways("events", 502);
  world.gateway.answerAlways("poll", 502);
  world.gateway.stream.cut();
  await world.clock.advance(10_000);
  world.gateway.answerAlways("poll", null);
  world.gateway.publish();
  await world.clock.advance(30_000);
  assert.equal(world.status.transport, "poll");
  world.gateway.publish();
  world.gateway.trim();
  world.gateway.answerAlways("events", null);
  await world.clock.advance(30_000);
  assert.ok(world.types().includes("reset"));
  assert.equal(world.status.transport, "sse");
});

test("polling goes on until the reset has come that `connected` announced", async () => {
  const world = await started();
  world.gateway.answerAlways("events", 502);
  world.gateway.stream.cut();
  await world.clock.advance(10_000);
  world.gateway.publish();
  world.gateway.trim();
  world.gateway.answerAlways("events", null);
  world.gateway.answerAlways("poll", 502);
  world.gateway.withholds = "reset";
  while (!world.gateway.stream) {
    await world.clock.advance(100);
  }
  assert.equal(world.types().at(-1), "connected");
  assert.equal(world.status.transport, "poll");
  world.gateway.answerAlways("poll", null);
  await world.clock.advance(30_000);
  assert.ok(world.types().includes("reset"));
});

test("a cut between `connected` and the reset that it announces loses nothing", async () => {
  const world = await started();
  const first = world.gateway.publish();
  await settle();
  world.gateway.stream.cut();
  world.gateway.publish();
  world.gateway.trim();
  const off = world.store.on("connected", () => {
    off();
    world.connection.reconnect();
  });
  await world.clock.advance(500);
  assert.equal(opened(world)[2].params.get("lastEventId"), first.id);
  assert.equal(world.types().filter((type) => type === "reset").length, 1);
  assert.equal(world.store.cursor, world.gateway.cursor);
});

test("nothing works: unavailable, and then connected again", async () => {
  const world = await started();
  world.gateway.network = "down";
  world.gateway.stream.cut();
  await settle();
  assert.equal(world.status.state, "connecting");
  await world.clock.advance(10_000);
  assert.equal(world.status.state, "unavailable");
  assert.match(world.status.error.message, /fetch failed/);
  world.gateway.network = "up";
  const event = world.gateway.publish();
  await world.clock.advance(40_000);
  assert.equal(world.status.state, "connected");
  assert.equal(world.status.transport, "sse");
  assert.equal(world.status.error, null);
  assertAll(world, [event]);
});

test("the first retry comes within 500 ms, and the ones after it with full jitter", async () => {
  for (const [draw, waits] of [[0.001, [0.5, 2, 4, 8]], [0.5, [250, 1000, 2000, 4000, 8000, 15_000, 15_000]]]) {
    const world = await started({ random: () => draw, gateway: { retry: null } });
    world.gateway.network = "down";
    world.gateway.stream.cut();
    const begun = world.clock.now();
    await world.clock.advance(60_000);
    const at = opened(world).slice(1).map((request) => request.at);
    assert.deepEqual(waits.map((wait, n) => Math.round(100 * (at[n] - (at[n - 1] ?? begun))) / 100), waits);
    world.connection.stop();
  }
});

test("health of 60 seconds, in one piece or several, makes the next retry a first one", async () => {
  const world = await started({ gateway: { retry: null } });
  const wait = async () => {
    const asked = opened(world).length;
    const begun = world.clock.now();
    world.gateway.stream.cut();
    while (opened(world).length === asked) {
      await world.clock.advance(50);
    }
    return world.clock.now() - begun;
  };
  assert.equal(await wait(), 250);
  assert.equal(await wait(), 1000);
  await world.clock.advance(59_000);
  assert.equal(await wait(), 2000);
  await world.clock.advance(1000);
  assert.equal(await wait(), 250);
  await world.clock.advance(20_000);
  assert.equal(await wait(), 1000);
  await world.clock.advance(60_000);
  assert.equal(await wait(), 250);
  world.connection.stop();
});

test("a stream that is short again and again is no mute network", async () => {
  const world = await started();
  for (let times = 0; times < 20; times += 1) {
    await world.clock.advance(20_000);
    world.gateway.stream?.end();
  }
  await world.clock.advance(40_000);
  assert.equal(world.status.transport, "sse");
  assert.equal(world.storage.length, 0);
});

test("`retry` over the usual is a floor", async () => {
  const world = await started({ gateway: { retry: 7000 } });
  world.gateway.stream.cut();
  await world.clock.advance(6999);
  assert.equal(opened(world).length, 1);
  await world.clock.advance(600);
  assert.equal(opened(world).length, 2);
});

for (const status of [429, 503]) {
  for (const [kind, of] of [["seconds", () => "20"], ["a date", (clock) => new Date(clock.wall() + 20_000).toUTCString()]]) {
    test(`Retry-After of a ${status} in ${kind} is a floor, for hints too`, async () => {
      const world = createWorld();
      world.gateway.answer("events", status, {}, { "Retry-After": of(world.clock) });
      world.gateway.answerAlways("poll", status, {}, { "Retry-After": of(world.clock) });
      world.connection.start();
      await world.clock.advance(10_000);
      world.connection.hint();
      await world.clock.advance(8_900);
      assert.equal(opened(world).length, 1);
      assert.equal(polled(world).length, 1);
      await world.clock.advance(2_000);
      assert.equal(opened(world).length, 2);
      assert.equal(world.status.state, "connected");
    });
  }
}

test("after so many attempts in a row in which nothing worked it gives up", async () => {
  const world = createWorld({ settings: { maxReconnectAttempts: 3 } });
  world.gateway.network = "down";
  world.connection.start();
  await world.clock.advance(120_000);
  assert.equal(opened(world).length, 4);
  assert.equal(world.status.state, "failed");
  assert.equal(world.status.reason, "attempts");
  assert.equal(world.clock.pending(), 0);
  world.gateway.network = "up";
  world.connection.reconnect();
  await world.clock.advance(0);
  assert.equal(world.status.state, "connected");
});

test("polls that work are attempts that did", async () => {
  const world = createWorld({ settings: { maxReconnectAttempts: 3 } });
  world.gateway.answerAlways("events", 502);
  world.connection.start();
  await world.clock.advance(300_000);
  assert.equal(world.status.state, "connected");
  assert.equal(world.status.transport, "poll");
});

test("without autoReconnect the end of the stream is the end", async () => {
  const world = await started({ settings: { autoReconnect: false } });
  world.gateway.stream.cut();
  await world.clock.advance(60_000);
  assert.equal(world.status.state, "disconnected");
  assert.equal(world.gateway.requests.length, 1);
  assert.equal(world.clock.pending(), 0);
});

// Mute networks.

test("a network on which nothing came within 8 seconds is mute, once a poll got through", async () => {
  const world = createWorld();
  world.gateway.network = "mute";
  world.connection.start();
  await world.clock.advance(7999);
  assert.equal(polled(world).length, 0);
  await world.clock.advance(1);
  assert.equal(world.status.state, "connected");
  assert.equal(world.status.transport, "poll");
  assert.equal(world.status.reason, "mute");
  assert.equal(world.gateway.streams.length, 0);
  assert.equal(world.storage.length, 1);
});

test("a network that is away is not called mute", async () => {
  const world = createWorld();
  world.gateway.network = "hung";
  world.connection.start();
  await world.clock.advance(60_000);
  assert.equal(world.status.state, "unavailable");
  assert.equal(world.storage.length, 0);
  world.gateway.network = "up";
  await world.clock.advance(40_000);
  assert.equal(world.status.transport, "sse");
});

test("on a mute network streaming is tried every 30 seconds, and a stream that speaks ends the verdict", async () => {
  const world = createWorld();
  world.gateway.network = "mute";
  world.connection.start();
  await world.clock.advance(100_000);
  const at = opened(world).map((request) => request.at);
  assert.deepEqual(at.slice(0, 4), [0, 30_000, 60_000, 90_000]);
  world.gateway.network = "up";
  await world.clock.advance(30_000);
  assert.equal(world.status.transport, "sse");
  assert.equal(world.storage.length, 0);
});

test("within a mute verdict polling starts at once, beside a first stream", async () => {
  const before = createWorld();
  before.gateway.network = "mute";
  before.connection.start();
  await before.clock.advance(20_000);
  before.connection.stop();
  const world = createWorld({ storage: before.storage, clock: before.clock });
  world.gateway.network = "mute";
  world.connection.start();
  await world.clock.advance(0);
  assert.equal(world.status.transport, "poll");
  assert.equal(world.status.state, "connected");
  assert.equal(opened(world).length, 1);
  world.gateway.network = "up";
  await world.clock.advance(40_000);
  assert.equal(world.status.transport, "sse");
});

for (const [name, spoil] of [
  ["ten minutes later", (world) => world.clock.sleep(600_000)],
  ["where the clock was set back", (world) => world.clock.sleep(-3_600_000, { monotonic: false })],
  ["in storage that somebody spoilt", (world) => world.storage.setItem(world.storage.key(0), "{")],
]) {
  test(`a mute verdict counts no more ${name}`, async () => {
    const before = createWorld();
    before.gateway.network = "mute";
    before.connection.start();
    await before.clock.advance(20_000);
    before.connection.stop();
    spoil(before);
    const world = createWorld({ storage: before.storage, clock: before.clock });
    world.connection.start();
    await world.clock.advance(3000);
    assert.equal(polled(world).length, 0);
    assert.equal(world.status.transport, "sse");
  });
}

test("a mute verdict is of one network, where the browser tells which", async () => {
  const before = createWorld({ network: () => "wifi" });
  before.gateway.network = "mute";
  before.connection.start();
  await before.clock.advance(20_000);
  before.connection.stop();
  const world = createWorld({ storage: before.storage, clock: before.clock, network: () => "cellular" });
  world.connection.start();
  await world.clock.advance(0);
  assert.equal(polled(world).length, 0);
});

test("a stream that began from nowhere and a poll that was quicker lose nothing between them", async () => {
  const before = createWorld();
  before.gateway.network = "mute";
  before.connection.start();
  await before.clock.advance(20_000);
  before.connection.stop();
  const world = createWorld({ storage: before.storage, clock: before.clock });
  world.gateway.latencyMs = (path) => (path === "events" ? 2000 : 0);
  world.connection.start();
  await world.clock.advance(1000);
  assert.ok(world.store.cursor);
  const event = world.gateway.publish();
  await world.clock.advance(20_000);
  assert.equal(world.status.transport, "sse");
  assertAll(world, [event]);
});

// Statuses.

for (const status of [400, 403, 404, 405, 406, 414, 421]) {
  test(`a ${status} of the stream is the end, and says what to do`, async () => {
    const world = createWorld();
    world.gateway.answer("events", status, { detail: "The gateway's own sentence." });
    world.connection.start();
    await world.clock.advance(60_000);
    assert.equal(world.status.state, "failed");
    assert.equal(world.status.reason, "refused");
    assert.equal(world.status.error.status, status);
    assert.match(world.status.error.message, /The gateway's own sentence\./);
    assert.equal(world.gateway.requests.length, 1);
    assert.equal(world.clock.pending(), 0);
  });
}

for (const status of [408, 425, 429, 500, 502, 503, 504, 511]) {
  test(`a ${status} of the stream is tried again`, async () => {
    const world = createWorld();
    world.gateway.answer("events", status);
    world.connection.start();
    await world.clock.advance(1000);
    assert.equal(world.status.state, "connected");
    assert.equal(world.status.transport, "sse");
  });
}

test("what answers in the gateway's place is no stream", async () => {
  const world = createWorld();
  world.gateway.answerAlways("events", 200, {}, { "Content-Type": "text/html" });
  world.connection.start();
  await world.clock.advance(5000);
  assert.equal(world.status.transport, "poll");
  assert.equal(world.status.reason, "blocked");
});

// fetch-mode.

test("204: the gateway wants polling, and a poll that says streaming brings the stream at once", async () => {
  const world = createWorld();
  world.gateway.setMode("orders", "polling");
  world.gateway.setMode("invoices", "polling");
  world.connection.start();
  await world.clock.advance(0);
  assert.equal(world.status.state, "connected");
  assert.equal(world.status.transport, "poll");
  assert.equal(world.status.reason, "fetch-mode");
  await world.clock.advance(60_000);
  assert.equal(opened(world).length, 1);
  const first = world.gateway.publish();
  world.gateway.setMode("orders", "streaming");
  world.gateway.setMode("invoices", "streaming");
  await world.clock.advance(6000);
  assert.equal(opened(world).length, 2);
  assert.equal(opened(world)[1].at, polled(world).at(-1).at);
  assert.equal(world.status.transport, "sse");
  const second = world.gateway.publish();
  await settle();
  assertAll(world, [first, second]);
});

test("a gateway whose nodes disagree on the mode is not asked more often than polls are", async () => {
  const world = createWorld();
  world.gateway.answerAlways("events", 204);
  world.connection.start();
  await world.clock.advance(60_000);
  assert.ok(polled(world).length <= 14, `${polled(world).length} polls`);
  assert.ok(opened(world).length <= 14, `${opened(world).length} streams`);
});

test("a component that goes to polling while connected is polled after its delay, and comes back by itself", async () => {
  const world = await started({ settings: { components: ["orders"] } });
  const first = world.gateway.publish();
  await settle();
  world.gateway.setMode("orders", "polling", { delayMs: 3000 });
  const second = world.gateway.publish();
  await world.clock.advance(2900);
  assert.equal(polled(world).length, 0);
  assert.equal(world.status.state, "connected");
  await world.clock.advance(200);
  assert.equal(world.status.transport, "poll");
  assertAll(world, [first, second]);
  world.gateway.setMode("orders", "streaming");
  const third = world.gateway.publish();
  await world.clock.advance(6000);
  assert.equal(world.status.transport, "sse");
  assertAll(world, [first, second, third]);
});

test("of two components one polls beside the stream, and each event comes once", async () => {
  const world = await started();
  const events = [];
  const both = async () => {
    events.push(world.gateway.publish(), world.gateway.publish({ entityType: "invoice", entityId: "I-1" }));
    await settle();
  };
  await both();
  world.gateway.setMode("orders", "polling", { delayMs: 1000 });
  await both();
  await world.clock.advance(2000);
  assert.equal(world.status.transport, "sse");
  assert.deepEqual(world.status.modes, { orders: "polling", invoices: "streaming" });
  assert.deepEqual(polled(world)[0].params.getAll("entity"), ["order"]);
  assert.deepEqual(polled(world)[0].params.getAll("component"), ["orders"]);
  await both();
  world.gateway.stream.cut();
  await both();
  await world.clock.advance(20_000);
  world.gateway.setMode("orders", "streaming", { delayMs: 1000 });
  await both();
  await world.clock.advance(500);
  await both();
  await world.clock.advance(500);
  const polls = polled(world).length;
  await both();
  await world.clock.advance(20_000);
  assert.equal(polled(world).length, polls);
  assert.deepEqual([...world.events].sort(), events.map((event) => event.id).sort());
  const ofType = (type) => world.messages.filter((message) => message.data.entityType === type).map(({ id }) => id);
  for (const type of ["order", "invoice"]) {
    assert.deepEqual(ofType(type), events.filter((event) => event.entityType === type).map(({ id }) => id));
  }
  assert.deepEqual(world.store.lanes, {});
});

test("a stream that finds a component polled asks what that owns, and polls it", async () => {
  const world = createWorld();
  world.gateway.setMode("orders", "polling");
  world.connection.start();
  await world.clock.advance(0);
  const event = world.gateway.publish();
  await world.clock.advance(6000);
  assertAll(world, [event]);
  assert.equal(world.status.transport, "sse");
  // The flag changes while the stream is away.
  world.gateway.stream.cut();
  world.gateway.setMode("orders", "streaming");
  const next = world.gateway.publish();
  await world.clock.advance(1000);
  assertAll(world, [event, next]);
  await world.clock.advance(16_000);
  assert.deepEqual(world.store.lanes, {});
});

test("a poll that was under way when its component came back is not handed on late", async () => {
  const world = await started();
  world.gateway.setMode("invoices", "polling");
  await world.clock.advance(4000);
  world.gateway.latencyMs = () => 1500;
  await world.clock.advance(1100);
  // It has been asked; the component comes back, and its last poll is quicker.
  world.gateway.setMode("invoices", "streaming", { delayMs: 100 });
  world.gateway.latencyMs = () => 10;
  await world.clock.advance(400);
  const event = world.gateway.publish({ entityType: "invoice" });
  await world.clock.advance(5000);
  assert.deepEqual(world.store.cursors, { "": event.id });
  world.gateway.setMode("invoices", "polling");
  await world.clock.advance(10_000);
  assertAll(world, [event]);
});

test("a component that comes back while the log starts over goes on with the stream", async () => {
  for (const state of [false, true]) {
    const world = createWorld({ settings: { state } });
    world.gateway.setState(state ? { order: {}, invoice: {} } : null);
    world.connection.start();
    await world.clock.advance(0);
    world.gateway.publish();
    world.gateway.setMode("orders", "polling");
    await world.clock.advance(1000);
    world.gateway.setMode("orders", "streaming", { delayMs: 4000 });
    world.gateway.publish();
    await world.clock.advance(1000);
    world.gateway.restart("e2", { cuts: false });
    await settle();
    const events = [world.gateway.publish(), world.gateway.publish({ entityType: "invoice", entityId: "I-1" })];
    await world.clock.advance(10_000);
    assert.deepEqual(world.events.filter((id) => id.startsWith("e2")), events.map((event) => event.id));
    assert.deepEqual(world.store.lanes, {});
  }
});

test("a component that comes back is polled as far as the stream had come, in however many answers", async () => {
  const world = await started({ gateway: { limit: 2 } });
  world.gateway.setMode("orders", "polling");
  await world.clock.advance(1000);
  const events = [1, 2, 3, 4, 5].map(() => world.gateway.publish());
  world.gateway.latencyMs = (path) => (path === "poll" ? 500 : 0);
  world.gateway.setMode("orders", "streaming");
  await world.clock.advance(1200);
  events.push(world.gateway.publish());
  await world.clock.advance(20_000);
  assertAll(world, events);
});

test("a component that polled further than the stream had come takes nothing from the others", async () => {
  const world = await started();
  world.gateway.setMode("orders", "polling");
  world.gateway.latencyMs = (path) => (path === "events" ? 300 : 0);
  world.gateway.stream.cut();
  world.gateway.setMode("orders", "streaming");
  const events = [world.gateway.publish(), world.gateway.publish({ entityType: "invoice", entityId: "I-1" })];
  await world.clock.advance(20_000);
  assertAll(world, events);
  assert.deepEqual(world.store.lanes, {});
});

test("of what a component owns only that is polled which the page asked for", async () => {
  const world = await started({ settings: { entities: ["order:O-1", "invoice"] }, gateway: { owned: { all: ["order", "box"], invoices: ["invoice"] } } });
  world.gateway.setMode("all", "polling");
  await world.clock.advance(0);
  assert.deepEqual(polled(world)[0].params.getAll("entity"), ["order:O-1"]);
});

test("a component that is complete by the time it comes back is taken from a new stream", async () => {
  const world = await started();
  world.gateway.setMode("orders", "polling");
  await world.clock.advance(0);
  world.gateway.retire("orders");
  const event = world.gateway.publish();
  world.gateway.setMode("orders", "streaming");
  const next = world.gateway.publish();
  await world.clock.advance(2000);
  assertAll(world, [event, next]);
  assert.equal(world.status.transport, "sse");
});

test("410: polling is over, and streams alone are tried", async () => {
  const world = await started({ settings: { components: ["orders"] } });
  world.gateway.retire("orders");
  world.gateway.network = "down";
  world.gateway.stream.cut();
  await world.clock.advance(5000);
  world.gateway.network = "up";
  world.gateway.answerAlways("events", 502);
  const polls = polled(world).length;
  await world.clock.advance(60_000);
  assert.equal(polled(world).length, polls + 1);
  assert.equal(world.status.state, "unavailable");
  world.gateway.answerAlways("events", null);
  await world.clock.advance(30_000);
  assert.equal(world.status.state, "connected");
  assert.equal(world.status.transport, "sse");
  // A kill switch brings polling back.
  world.gateway.revive("orders");
  world.gateway.setMode("orders", "polling");
  const event = world.gateway.publish();
  await world.clock.advance(10_000);
  assert.equal(world.status.transport, "poll");
  assertAll(world, [event]);
});

test("a fallback whose polls say polling obeys, and ends when they say streaming", async () => {
  const world = await started();
  world.gateway.answerAlways("events", 502);
  world.gateway.stream.cut();
  await world.clock.advance(10_000);
  world.gateway.setMode("orders", "polling");
  world.gateway.setMode("invoices", "polling");
  await world.clock.advance(6000);
  const tries = opened(world).length;
  await world.clock.advance(60_000);
  assert.equal(opened(world).length, tries);
  assert.equal(world.status.reason, "fetch-mode");
  world.gateway.answerAlways("events", null);
  world.gateway.setMode("orders", "streaming");
  world.gateway.setMode("invoices", "streaming");
  await world.clock.advance(6000);
  assert.equal(world.status.transport, "sse");
});

test("polling as the gateway wants it comes through an outage, and back to the stream", async () => {
  const world = createWorld({ settings: { components: ["orders"] } });
  world.gateway.setMode("orders", "polling");
  world.connection.start();
  await world.clock.advance(1000);
  world.gateway.network = "down";
  await world.clock.advance(60_000);
  assert.equal(world.status.state, "unavailable");
  world.gateway.network = "up";
  world.gateway.setMode("orders", "streaming");
  await world.clock.advance(40_000);
  assert.equal(world.status.state, "connected");
  assert.equal(world.status.transport, "sse");
});

// bye.

for (const reason of ["drain", "limit", "slow_consumer"]) {
  test(`bye (${reason}) comes back after its delay, at the same cursor`, async () => {
    const world = await started();
    const first = world.gateway.publish();
    await settle();
    world.gateway.stream.bye(reason, true, 1500);
    const second = world.gateway.publish();
    await world.clock.advance(1490);
    assert.equal(opened(world).length, 1);
    await world.clock.advance(600);
    assert.equal(opened(world).length, 2);
    assertAll(world, [first, second]);
    assert.equal(polled(world).length, 0);
  });
}

test("bye (revoked) is the end", async () => {
  const world = await started();
  world.gateway.stream.bye("revoked", false, 30_000);
  await world.clock.advance(60_000);
  assert.equal(world.status.state, "failed");
  assert.equal(world.status.reason, "revoked");
  assert.equal(world.gateway.requests.length, 1);
  assert.equal(world.clock.pending(), 0);
});

test("bye (disconnected) of an operator rests until the page asks for more", async () => {
  const world = await started();
  world.gateway.stream.bye("disconnected", false, 30_000);
  await world.clock.advance(60_000);
  assert.equal(world.status.state, "disconnected");
  assert.equal(world.status.reason, "disconnected");
  assert.equal(world.clock.pending(), 0);
  const event = world.gateway.publish();
  world.connection.reconnect();
  await world.clock.advance(0);
  assert.equal(world.status.state, "connected");
  assertAll(world, [event]);
});

// State.

test("a stream with state hands it on, and a poll asks for it", async () => {
  const world = createWorld({ settings: { state: true, entities: ["order"] } });
  world.gateway.setState({ order: { "O-1": { n: 0 } } });
  world.connection.start();
  await world.clock.advance(0);
  assert.deepEqual(world.types(), ["connected", "state"]);
  assert.deepEqual(world.store.entities("order").get("O-1"), { n: 0 });
  world.gateway.answerAlways("events", 502);
  world.gateway.stream.cut();
  await world.clock.advance(3000);
  world.gateway.publish();
  world.gateway.publish({ entityId: "O-2" });
  world.gateway.trim();
  await world.clock.advance(6000);
  assert.deepEqual(world.types().filter((type) => type !== "poll"), ["connected", "state", "reset", "state"]);
  assert.equal(world.store.entities("order").size, 2);
  assert.equal(world.store.cursor, world.gateway.cursor);
});

test("a client that begins by polling has the state first, and misses nothing after it", async () => {
  const world = createWorld({ settings: { state: true } });
  world.gateway.setState({ order: { "O-1": { n: 0 } }, invoice: {} });
  world.gateway.answerAlways("events", 502);
  world.connection.start();
  await world.clock.advance(2000);
  assert.deepEqual(world.types(), ["state", "poll"]);
  const event = world.gateway.publish();
  await world.clock.advance(6000);
  assertAll(world, [event]);
});

test("where nothing knows the state a poll says that it was reset", async () => {
  const world = createWorld({ settings: { state: true } });
  world.gateway.answerAlways("events", 502);
  world.connection.start();
  await world.clock.advance(3000);
  world.gateway.publish();
  world.gateway.trim();
  await world.clock.advance(6000);
  assert.deepEqual(world.types().filter((type) => type !== "poll"), ["reset"]);
  assert.equal(world.store.cursor, world.gateway.cursor);
});

test("a component that polls beside a stream has its own state", async () => {
  const world = createWorld({ settings: { state: true } });
  world.gateway.setState({ order: { "O-1": { n: 0 } }, invoice: { "I-1": { n: 0 } } });
  world.gateway.setMode("orders", "polling");
  world.connection.start();
  await world.clock.advance(1000);
  assert.deepEqual(world.store.entities("order").get("O-1"), { n: 0 });
  assert.deepEqual(world.store.entities("invoice").get("I-1"), { n: 0 });
  world.gateway.publish();
  await world.clock.advance(6000);
  assert.deepEqual(world.store.entities("order").get("O-1"), { n: 1 });
  // The log starts over: both say so, and both begin anew.
  world.gateway.restart("e2");
  world.gateway.setState({ order: { "O-9": { n: 9 } }, invoice: { "I-9": { n: 9 } } });
  await world.clock.advance(20_000);
  assert.deepEqual([...world.store.entities("order").keys()], ["O-9"]);
  assert.deepEqual([...world.store.entities("invoice").keys()], ["I-9"]);
});

for (const [how, modes, transport] of [
  ["everything", ["orders", "invoices"], "poll"],
  ["one component", ["orders"], "sse"],
]) {
  test(`where the gateway asks to poll ${how}, what polling says is shown, whatever events say`, async () => {
    const world = createWorld({ settings: { state: true } });
    world.gateway.setState({ order: { "O-1": { n: 0 } }, invoice: { "I-1": { n: 0 } } });
    world.connection.start();
    await world.clock.advance(0);
    const events = [world.gateway.publish({ lies: true, data: { n: "wrong" } })];
    await settle();
    assert.deepEqual(world.store.entities("order").get("O-1"), { n: "wrong" });
    modes.forEach((name) => world.gateway.setMode(name, "polling"));
    await world.clock.advance(0);
    assert.equal(world.status.transport, transport);
    assert.deepEqual(world.store.entities("order").get("O-1"), { n: 0 });
    events.push(world.gateway.publish({ lies: true, data: { n: "wrong again" } }));
    await world.clock.advance(6000);
    assert.deepEqual(world.store.entities("order").get("O-1"), { n: 0 });
    assert.deepEqual(world.store.entities("invoice").get("I-1"), { n: 0 });
    assertAll(world, events);
    // Nothing happens: nothing is sent, and nothing is told.
    const states = world.types().filter((type) => type === "state").length;
    await world.clock.advance(30_000);
    assert.ok(world.gateway.asked("state").at(-1).headers["If-None-Match"]);
    assert.equal(world.types().filter((type) => type === "state").length, states);
    // The state changes, without an event.
    world.gateway.setState({ order: { "O-2": { n: 7 } }, invoice: { "I-1": { n: 0 } } });
    await world.clock.advance(6000);
    assert.deepEqual([...world.store.entities("order")], [["O-2", { n: 7 }]]);
    modes.forEach((name) => world.gateway.setMode(name, "streaming"));
    events.push(world.gateway.publish());
    await world.clock.advance(20_000);
    assert.equal(world.status.transport, "sse");
    assertAll(world, events);
    assert.deepEqual(world.store.lanes, {});
    const asked = world.gateway.asked("state").length;
    await world.clock.advance(60_000);
    assert.equal(world.gateway.asked("state").length, asked);
  });
}

test("a fallback asks for no state: what it polls is what streams bring", async () => {
  const world = createWorld({ settings: { state: true } });
  world.gateway.setState({ order: {} });
  world.connection.start();
  await world.clock.advance(0);
  world.gateway.answerAlways("events", 502);
  world.gateway.stream.cut();
  await world.clock.advance(60_000);
  assert.equal(world.status.transport, "poll");
  assert.equal(world.gateway.asked("state").length, 0);
});

for (const [status, times] of [[404, 1], [503, 7]]) {
  test(`where the state is a ${status}, polling goes on without it`, async () => {
    const world = createWorld({ settings: { state: true, components: ["orders"] } });
    world.gateway.setState({ order: {} });
    world.connection.start();
    await world.clock.advance(0);
    world.gateway.answerAlways("state", status);
    world.gateway.setMode("orders", "polling");
    const event = world.gateway.publish();
    await world.clock.advance(30_000);
    assert.equal(world.gateway.asked("state").length, times);
    assert.equal(world.status.state, "connected");
    assertAll(world, [event]);
  });
}

test("who is cut off between the parts of a state begins anew", async () => {
  const world = createWorld({ settings: { state: true } });
  world.gateway.setState({});
  world.connection.start();
  await world.clock.advance(0);
  const { stream } = world.gateway;
  stream.control("reset", { reason: "unknown", state: true, cursor: "e1.0-0" });
  stream.control("state", { entityType: "order", items: [], part: 1, last: false, cursor: "e1.0-0" });
  await settle();
  stream.cut();
  await world.clock.advance(500);
  assert.equal(opened(world).at(-1).params.get("lastEventId"), null);
  assert.equal(world.status.state, "connected");
});

// Tokens.

test("a token goes with every request, and a 401 asks for another one, once", async () => {
  const given = ["one", "two"];
  const world = createWorld({ settings: { getToken: () => given.shift() } });
  world.gateway.answer("events", 401);
  world.connection.start();
  await world.clock.advance(0);
  assert.equal(world.status.state, "connected");
  assert.deepEqual(opened(world).map(({ headers }) => headers.Authorization), ["Bearer one", "Bearer two"]);
  assert.deepEqual(given, []);
});

test("a second 401 is the end", async () => {
  let asked = 0;
  const world = createWorld({ settings: { getToken: async () => `token-${(asked += 1)}` } });
  world.gateway.answerAlways("events", 401);
  world.connection.start();
  await world.clock.advance(60_000);
  assert.equal(world.status.state, "failed");
  assert.equal(world.status.error.status, 401);
  assert.equal(asked, 2);
  assert.equal(opened(world).length, 2);
});

test("without getToken a 401 is the end at once", async () => {
  const world = createWorld();
  world.gateway.answerAlways("events", 401);
  world.connection.start();
  await world.clock.advance(60_000);
  assert.equal(world.status.state, "failed");
  assert.equal(opened(world).length, 1);
});

test("token-expiring renews before the end, at the same cursor and without a change of state", async () => {
  const given = ["one", "two"];
  const world = await started({ settings: { getToken: () => given.shift() } });
  await world.clock.advance(10_000);
  const first = world.gateway.publish();
  await settle();
  const states = world.statuses.length;
  world.gateway.stream.control("token-expiring", { expiresAt: new Date(world.clock.wall() + 60_000).toISOString() });
  await world.clock.advance(15_000);
  assert.equal(opened(world).length, 2);
  assert.equal(opened(world)[1].headers.Authorization, "Bearer two");
  assert.equal(opened(world)[1].params.get("lastEventId"), first.id);
  assert.ok(world.statuses.slice(states).every((status) => status.state === "connected"));
  assert.equal(world.gateway.streams.length, 1);
});

test("tokens of less than a minute are renewed within it, not without end", async () => {
  let asked = 0;
  const world = await started({ settings: { getToken: () => `token-${(asked += 1)}` } });
  for (let times = 0; times < 3; times += 1) {
    world.gateway.stream.control("token-expiring", { expiresAt: new Date(world.clock.wall() + 20_000).toISOString() });
    await world.clock.advance(4900);
    assert.equal(asked, 1 + times);
    await world.clock.advance(200);
    assert.equal(asked, 2 + times);
  }
});

test("getToken that fails at renewal is asked again, and events come meanwhile", async () => {
  const given = [() => "one", () => { throw new Error("offline"); }, () => Promise.reject(new Error("offline")), () => "two"];
  const world = await started({ settings: { getToken: () => given.shift()() } });
  for (let times = 0; times < 3; times += 1) {
    world.gateway.stream.control("token-expiring", { expiresAt: new Date(world.clock.wall() + 60_000).toISOString() });
    await world.clock.advance(15_000);
  }
  const event = world.gateway.publish();
  await settle();
  assert.deepEqual(given, []);
  assert.equal(opened(world).at(-1).headers.Authorization, "Bearer two");
  assertAll(world, [event]);
});

test("bye (token_expired) comes back with a fresh token", async () => {
  const world = createWorld({
    settings: { getToken: () => token("t", Math.floor(world.clock.wall() / 1000) + 30) },
  });
  world.connection.start();
  await world.clock.advance(30_000);
  world.gateway.stream.bye("token_expired", true, 0);
  await world.clock.advance(1000);
  const [before, after] = opened(world).map(({ headers }) => headers.Authorization);
  assert.notEqual(before, after);
  assert.equal(world.status.state, "connected");
});

test("a token that is over is never sent: not after sleep, and not if getToken gives it", async () => {
  const world = createWorld({ settings: { getToken: () => given.shift() } });
  const seconds = Math.floor(world.clock.wall() / 1000);
  const given = [token("old", seconds - 1), token("first", seconds + 600), token("second", seconds + 9000)];
  world.connection.start();
  await world.clock.advance(0);
  assert.equal(world.gateway.requests.length, 0);
  await world.clock.advance(1000);
  assert.equal(world.status.state, "connected");
  world.clock.sleep(3_600_000);
  await world.clock.advance(1000);
  assert.equal(world.status.state, "connected");
  assert.deepEqual(
    opened(world).map(({ headers }) => claimsName(headers.Authorization)),
    ["first", "second"],
  );
});

const claimsName = (header) => JSON.parse(atob(header.split(".")[1])).name;

test("getToken that throws is asked again after a while", async () => {
  const given = [() => { throw new Error("no session"); }, () => Promise.reject(new Error("no session")), () => "one"];
  const world = createWorld({ settings: { getToken: () => given.shift()() } });
  world.connection.start();
  await world.clock.advance(0);
  assert.match(world.status.error.message, /no session/);
  await world.clock.advance(10_000);
  assert.equal(world.status.state, "connected");
  assert.equal(world.status.error, null);
});

test("a token that is over while everything is polled is renewed, and the stream comes back", async () => {
  const world = createWorld({
    settings: { getToken: () => token("t", Math.floor(world.clock.wall() / 1000) + 60) },
  });
  world.connection.start();
  await world.clock.advance(0);
  world.gateway.answerAlways("events", 502);
  world.gateway.stream.cut();
  await world.clock.advance(200_000);
  assert.equal(world.status.transport, "poll");
  const given = new Set(polled(world).map(({ headers }) => headers.Authorization));
  assert.ok(given.size >= 3, `${given.size} tokens`);
  world.gateway.answer("poll", 401);
  await world.clock.advance(10_000);
  world.gateway.answerAlways("events", null);
  const event = world.gateway.publish();
  await world.clock.advance(31_000);
  assert.equal(world.status.transport, "sse");
  assertAll(world, [event]);
});

// The watchdog.

test("a stream that is silent for 2.5 heartbeats is opened anew", async () => {
  const world = await started();
  world.gateway.stream.stall();
  await world.clock.advance(37_400);
  assert.equal(opened(world).length, 1);
  const event = world.gateway.publish();
  await world.clock.advance(1000);
  assert.equal(opened(world).length, 2);
  assertAll(world, [event]);
});

test("any byte is a sign of life", async () => {
  const world = await started();
  const { stream } = world.gateway;
  const { send } = stream;
  stream.stall();
  for (let times = 0; times < 10; times += 1) {
    await world.clock.advance(30_000);
    stream.stalled = false;
    send(":");
    stream.stalled = true;
  }
  assert.equal(opened(world).length, 1);
});

for (const monotonic of [true, false]) {
  test(`a machine that slept an hour finds its stream dead, ${monotonic ? "by either clock" : "by wall time alone"}`, async () => {
    const world = await started();
    const event = world.gateway.publish();
    await settle();
    world.gateway.stream.stall();
    const missed = world.gateway.publish();
    world.clock.sleep(3_600_000, { monotonic });
    await world.clock.advance(6000);
    assert.equal(opened(world).length, 2);
    assertAll(world, [event, missed]);
    assert.equal(world.status.state, "connected");
  });

  test(`a hint after sleep finds it dead at once (${monotonic ? "both clocks" : "wall time"})`, async () => {
    const world = await started();
    world.gateway.stream.stall();
    world.clock.sleep(3_600_000, { monotonic });
    world.connection.hint();
    await world.clock.advance(500);
    assert.equal(opened(world).length, 2);
  });
}

test("a fetch that never settles is given up after 8 seconds, even one that no abort ends", async () => {
  const world = createWorld();
  const { fetch } = world.gateway;
  let deaf = true;
  world.environment.fetch = (url, options) => (deaf ? new Promise(() => {}) : fetch(url, options));
  world.connection.start();
  await world.clock.advance(8000);
  assert.equal(world.status.state, "unavailable");
  deaf = false;
  await world.clock.advance(40_000);
  assert.equal(world.status.state, "connected");
  assert.equal(world.status.transport, "sse");
});

// Hints, and the page's verbs.

test("a hint brings a waiting retry forward, at most once in two seconds, and closes nothing", async () => {
  const world = createWorld();
  world.gateway.network = "down";
  world.connection.start();
  await world.clock.advance(60_000);
  const tries = opened(world).length;
  world.connection.hint();
  await world.clock.advance(0);
  assert.equal(opened(world).length, tries + 1);
  for (let times = 0; times < 10; times += 1) {
    world.connection.hint();
    await world.clock.advance(100);
  }
  assert.ok(opened(world).length <= tries + 2);
  await world.clock.advance(5000);
  const later = opened(world).length;
  world.connection.hint();
  await world.clock.advance(0);
  assert.equal(opened(world).length, later + 1);
  world.gateway.network = "up";
  world.connection.hint();
  await world.clock.advance(2000);
  assert.equal(world.status.state, "connected");
  const { stream } = world.gateway;
  world.connection.hint();
  await world.clock.advance(10);
  assert.equal(world.gateway.stream, stream);
});

test("paused: the stream ends, nothing is asked, and resume goes on at the cursor", async () => {
  const world = await started();
  world.connection.pause();
  assert.equal(world.status.state, "paused");
  await settle();
  assert.equal(world.gateway.streams.length, 0);
  world.connection.hint();
  const event = world.gateway.publish();
  await world.clock.advance(600_000);
  assert.equal(world.gateway.requests.length, 1);
  world.connection.resume();
  await world.clock.advance(0);
  assert.equal(world.status.state, "connected");
  assertAll(world, [event]);
});

test("resume begins nothing where nothing was paused", async () => {
  const world = createWorld();
  world.connection.resume();
  await world.clock.advance(1000);
  assert.equal(world.status.state, "initialized");
  world.connection.start();
  world.connection.stop();
  world.connection.pause();
  world.connection.resume();
  await world.clock.advance(1000);
  assert.equal(world.status.state, "disconnected");
});

test("stop leaves no timer and no request behind, wherever it comes, and nothing late is handed on", async () => {
  for (let ms = 0; ms < 20_000; ms += 130) {
    const world = createWorld({ settings: { state: true }, gateway: { heartbeatSeconds: 2 } });
    world.gateway.setState({ order: {} });
    world.gateway.answerAlways("events", ms % 3 ? 502 : null);
    world.gateway.setMode("orders", "polling");
    world.connection.start();
    await world.clock.advance(ms);
    world.gateway.publish();
    world.connection.stop();
    const seen = world.messages.length;
    assert.equal(world.clock.pending(), 0, `a timer is left at ${ms} ms`);
    world.gateway.publish();
    await world.clock.advance(60_000);
    assert.equal(world.messages.length, seen);
    assert.equal(world.gateway.streams.length, 0);
    assert.equal(world.status.state, "disconnected");
  }
});

test("reconnect begins at once, at the same cursor, whatever the state", async () => {
  const world = await started();
  const event = world.gateway.publish();
  await settle();
  world.connection.reconnect();
  assert.equal(world.status.state, "connecting");
  await settle();
  assert.equal(world.gateway.streams.length, 1);
  assert.equal(opened(world)[1].params.get("lastEventId"), event.id);
  world.connection.stop();
  world.connection.reconnect();
  await settle();
  assert.equal(world.status.state, "connected");
  assertAll(world, [event]);
});

test("renew takes what the settings select now, without a change of state", async () => {
  const settings = { channels: [] };
  const world = await started({ settings });
  settings.channels.push("portal");
  const states = world.statuses.length;
  world.connection.renew();
  await world.clock.advance(0);
  assert.deepEqual(opened(world)[1].params.getAll("channel"), ["portal"]);
  assert.ok(world.statuses.slice(states).every((status) => status.state === "connected"));
});

test("catching up polls everything from the cursor, while the connection rests", async () => {
  const world = await started({ gateway: { limit: 2 } });
  world.connection.stop();
  const events = [1, 2, 3, 4, 5].map(() => world.gateway.publish());
  await world.connection.catchUp(new AbortController().signal);
  assertAll(world, events);
  assert.equal(world.status.state, "disconnected");
});

test("who stops catching up gets nothing more", async () => {
  const world = await started();
  world.connection.stop();
  world.gateway.publish();
  const controller = new AbortController();
  const under = world.connection.catchUp(controller.signal);
  controller.abort(new Error("enough"));
  await assert.rejects(under, /enough/);
  assert.deepEqual(world.events, []);
});
