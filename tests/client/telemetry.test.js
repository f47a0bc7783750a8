import assert from "node:assert/strict";
import { test } from "node:test";
import { createTelemetry } from "../../gateway/static/parts/telemetry.js";
import { createWorld } from "./support/synced.js";

const reportsOf = ({ asked }) => asked("telemetry").map(({ options }) => JSON.parse(options.body));
const attemptsOf = ({ asked }) => asked("events").map(({ params }) => params.get("attempt"));

test("each stream is acknowledged once for each component, under the id that it was given", async () => {
  const { opened, gateway, clock, settle } = createWorld();
  const sync = await opened({ components: ["orders", "invoices"], clientId: "mine" });
  gateway.publish();
  await clock.advance(100);
  const first = gateway.asked("telemetry");
  const [attempt] = attemptsOf(gateway);
  assert.deepEqual(reportsOf(gateway), [
    { clientId: "client-1", attempt, component: "orders", mode: "streaming", clientVersion: "0.1.0", firstEventMs: 0 },
    { clientId: "client-1", attempt, component: "invoices", mode: "streaming", clientVersion: "0.1.0", firstEventMs: 0 },
  ]);
  assert.equal(first[0].options.method, "POST");
  assert.equal(first[0].options.keepalive, true);
  assert.equal(gateway.asked("events")[0].params.get("clientVersion"), "0.1.0", "by which the gateway knows who reports");
  gateway.stream.cut();
  await clock.advance(1000);
  assert.deepEqual(reportsOf(gateway).slice(2).map(({ clientId }) => clientId), ["client-2", "client-2"]);
  sync.close();
  await settle();
});

test("a fallback on evidence is told once, and one that the gateway wanted is none", async () => {
  const { opened, gateway, clock } = createWorld();
  const sync = await opened({ components: ["orders"] });
  gateway.answerAlways("events", 502);
  gateway.stream.cut();
  await clock.advance(30_000);
  assert.equal(sync.transport, "poll");
  const [, { attempt, ...told }, ...more] = reportsOf(gateway);
  assert.deepEqual(told, { clientId: "client-1", component: "orders", mode: "streaming", clientVersion: "0.1.0", fallback: "error" });
  assert.deepEqual(more, []);
  assert.ok(attemptsOf(gateway).slice(1).includes(attempt), "that of a stream that was tried after the one that was cut");
  gateway.answerAlways("events", null);
  await clock.advance(60_000);
  assert.equal(sync.transport, "sse");
  assert.deepEqual(reportsOf(gateway).slice(2).map(({ clientId, fallback }) => [clientId, fallback]), [["client-2", undefined]]);
  sync.close();

  const other = createWorld();
  other.gateway.setMode("orders", "polling");
  const polls = await other.opened({ components: ["orders"] });
  await other.clock.advance(10_000);
  assert.equal(polls.transport, "poll");
  assert.deepEqual(reportsOf(other.gateway), []);
  polls.close();
});

test("each stream has an attempt of its own, which nobody can guess", async () => {
  const { opened, gateway, clock } = createWorld();
  const sync = await opened({ components: ["orders"] });
  for (let count = 0; count < 5; count += 1) {
    gateway.stream.cut();
    await clock.advance(5000);
  }
  const attempts = attemptsOf(gateway);
  assert.ok(attempts.length > 2);
  assert.equal(new Set(attempts).size, attempts.length);
  attempts.forEach((attempt) => assert.match(attempt, /^[A-Za-z0-9_-]{1,64}$/));
  assert.deepEqual([...gateway.asked("poll")].filter(({ params }) => params.has("attempt")), []);
  sync.close();
});

test("a client that never had a stream reports under its own id and the attempt", async () => {
  const { opened, gateway, clock } = createWorld();
  gateway.network = "mute";
  const sync = await opened({ components: ["orders"], clientId: "mine" });
  await clock.advance(20_000);
  assert.equal(sync.transport, "poll");
  const [attempt] = attemptsOf(gateway);
  assert.deepEqual(reportsOf(gateway).map((told) => [told.clientId, told.attempt, told.fallback]), [["mine", attempt, "mute"]]);
  sync.close();
});

test("nothing is sent without components, or where it is switched off, and no failure of it is anybody's", async () => {
  for (const options of [{ entities: ["order"] }, { components: ["orders"], telemetry: false }]) {
    const { opened, gateway, clock } = createWorld();
    const sync = await opened(options);
    await clock.advance(100);
    assert.deepEqual(gateway.asked("telemetry"), []);
    sync.close();
  }
  const { opened, gateway, clock } = createWorld();
  gateway.answerAlways("telemetry", 500);
  const sync = await opened({ components: ["orders"] });
  await clock.advance(100);
  assert.equal(gateway.asked("telemetry").length, 1);
  assert.equal(sync.state, "connected");
  sync.close();
});

test("a tab that follows another one's stream reports nothing", () => {
  const sent = [];
  const follow = createTelemetry({ components: ["orders"], clientVersion: "1", clientId: "mine" }, async (body) => sent.push(body));
  follow({ transport: "shared", clientId: "client-1", firstEventMs: 20 });
  assert.deepEqual(sent, []);
});
