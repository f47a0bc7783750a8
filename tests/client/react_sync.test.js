// The hooks over the client itself, and a model of the gateway.

import assert from "node:assert/strict";
import { test } from "node:test";

// What the client loads later is there at once, as turns of the clock take no time.
import "../../gateway/static/auto_refresh.js";
import "../../gateway/static/writes.js";
import { createHooks } from "../../gateway/static/react.js";
import { createClock, settle } from "./support/clock.js";
import { createStorage } from "./support/connected.js";
import { act, h, React, renderToString, show } from "./support/dom.js";
import { createGateway } from "./support/gateway.js";

const hooks = createHooks(React);

/** A gateway, and `page(use, options)`: a component below a provider, whose `seen.last` is what `use` gave. */
function setUp(config = {}) {
  const clock = createClock();
  const gateway = createGateway({ clock });
  const initialConfig = {
    ...{ baseUrl: "http://gateway.test", fetch: gateway.fetch, clock, storage: createStorage() },
    ...{ random: () => 0.5, page: null, locks: null, openChannel: null, telemetry: false, entities: ["order"] },
    ...config,
  };
  const seen = {};
  const below = (use) => {
    const Probe = () => {
      seen.last = use();
      return null;
    };
    return h(hooks.SyncManagerProvider, { initialConfig }, h(Probe));
  };
  const pass = (ms = 0) => act(() => clock.advance(ms));
  const page = async (use, options) => {
    const shown = await show(below(use), options);
    await pass();
    return shown;
  };
  return { clock, gateway, seen, below, page, pass };
}

for (const strict of [false, true]) {
  test(`a page has one stream, and none once it is gone${strict ? ", in StrictMode too" : ""}`, async () => {
    const { gateway, seen, page, pass, clock } = setUp();
    const shown = await page(hooks.useConnectionHealth, { strict });
    assert.equal(gateway.asked("events").length, 1);
    assert.deepEqual([seen.last.status, seen.last.transport, seen.last.isConnected], ["healthy", "sse", true]);
    await shown.unmount();
    await pass(60_000);
    assert.equal(gateway.asked("events").length, 1);
    assert.equal(gateway.streams.length, 0);
    assert.equal(clock.pending(), 0);
  });
}

test("on the server nothing is asked for", async () => {
  const { gateway, below, pass } = setUp();
  renderToString(below(hooks.useSyncManager));
  await pass(10_000);
  assert.deepEqual(gateway.requests, []);
});

test("a page whose stream is lost goes on by polling, and comes back", async () => {
  const { gateway, seen, page, pass } = setUp();
  await page(() => ({ ...hooks.useConnectionHealth(), ...hooks.useEntitySync("order:O-1") }));
  gateway.answerAlways("events", 503);
  gateway.stream.cut();
  await pass(3000);
  assert.deepEqual([seen.last.status, seen.last.isConnected], ["polling", true]);
  gateway.publish({ data: { stage: "billed" } });
  await pass(10_000);
  assert.deepEqual(seen.last.entity, { stage: "billed" });
  gateway.answerAlways("events", null);
  await pass(60_000);
  assert.equal(seen.last.status, "healthy");
  gateway.publish({ data: { stage: "paid" } });
  await pass();
  assert.deepEqual(seen.last.events.map(({ data }) => data.stage), ["billed", "paid"]);
  assert.deepEqual(seen.last.entity, { stage: "paid" });
});

test("a state is shown whole, and kept by what changes", async () => {
  const { gateway, seen, page, pass } = setUp({ state: true });
  gateway.setState({ order: { "O-1": { stage: "billed" }, "O-2": { stage: "paid" } } });
  await page(() => hooks.useEntitySync("order"));
  assert.deepEqual(Object.fromEntries(seen.last.entities), { "O-1": { stage: "billed" }, "O-2": { stage: "paid" } });
  gateway.publish({ action: "delete" });
  await pass();
  assert.deepEqual([...seen.last.entities.keys()], ["O-2"]);
});

test("events are counted and kept, up to the history's limit", async () => {
  const { gateway, seen, page, pass } = setUp({ eventHistoryLimit: 20 });
  await page(hooks.useSyncManager);
  for (let count = 0; count < 50; count += 1) gateway.publish();
  await pass();
  assert.deepEqual([seen.last.events.length, seen.last.metrics.totalEvents], [20, 50]);
  assert.deepEqual(seen.last.lastEvent, seen.last.events.at(-1));
});

test("a refetch follows a change, and a refusal is an error that says what to do", async () => {
  const { gateway, seen, page, pass } = setUp();
  let refetched = 0;
  await page(() => {
    hooks.useAutoRefresh("order", () => (refetched += 1), { eventTypes: ["stage_change"] });
    return hooks.useSyncManager();
  });
  await pass(100);
  gateway.publish();
  gateway.publish();
  await pass(10_000);
  assert.equal(refetched, 1);
  gateway.answerAlways("events", 403, { detail: "You may not receive orders." });
  gateway.stream.cut();
  await pass(60_000);
  assert.equal(seen.last.connectionState, hooks.ConnectionState.ERROR);
  assert.match(seen.last.error.message, /You may not receive orders/);
  gateway.answerAlways("events", null);
  await act(async () => seen.last.reconnect());
  await pass(1000);
  assert.equal(seen.last.connectionState, hooks.ConnectionState.CONNECTED);
});

test("presence is in the stream's selection, once for two components, and the stream is asked for once", async () => {
  const { gateway, seen, page, pass } = setUp();
  gateway.answerAlways("presence/portal", 204);
  const meta = { name: "Ann" };
  const shown = await page(() => [hooks.usePresence("portal", "user-1", meta), hooks.usePresence("portal", "user-1", meta)], { strict: true });
  await pass(1000);
  assert.deepEqual(gateway.streams.map(({ params }) => [params.getAll("presence"), params.get("clientId")]), [[["portal"], "user-1"]]);
  assert.equal(gateway.asked("events").length, 1);
  const users = { "user-1": { meta }, "user-2": { meta: { name: "Bob" } } };
  gateway.stream.control("presence", { channel: "portal", type: "sync", users });
  await pass();
  const onlineUsers = { "user-1": meta, "user-2": { name: "Bob" } };
  assert.deepEqual(seen.last, [{ onlineUsers, isConnected: true }, { onlineUsers, isConnected: true }]);
  gateway.stream.control("presence", { channel: "portal", type: "leave", users: { "user-2": {} } });
  await pass();
  assert.deepEqual(Object.keys(seen.last[0].onlineUsers), ["user-1"]);
  await shown.unmount();
  await settle();
  assert.equal(gateway.streams.length, 0);
});

test("what is said in a channel is heard, and sent", async () => {
  const { gateway, seen, page, pass } = setUp();
  gateway.answerAlways("broadcast/portal", 202);
  const heard = [];
  await page(() => hooks.useBroadcast("portal", { typing: (payload, from) => heard.push([payload, from]) }));
  await pass(1000);
  assert.deepEqual(gateway.stream.params.getAll("channel"), ["portal"]);
  gateway.stream.control("broadcast", { channel: "portal", event: "typing", payload: { in: "O-1" }, from: "user-2" });
  await pass();
  assert.deepEqual(heard, [[{ in: "O-1" }, "user-2"]]);
  await act(async () => seen.last.send("typing", { in: "O-2" }));
  const [sent] = gateway.asked("broadcast/portal");
  assert.deepEqual(JSON.parse(sent.options.body), { event: "typing", payload: { in: "O-2" } });
});

test("a change shows at once, and is the server's once it comes back", async () => {
  const { gateway, seen, page, pass } = setUp();
  await page(() => hooks.useOptimisticUpdates("order"));
  gateway.publish({ data: { stage: "billed" } });
  await pass();
  let answer;
  const write = () => new Promise((resolve) => (answer = resolve));
  await act(async () => void seen.last.update("order:O-1", { stage: "paid" }, write));
  await pass();
  assert.deepEqual([seen.last.entities.get("O-1"), seen.last.isPending], [{ stage: "paid" }, true]);
  const { id } = gateway.publish({ data: { stage: "paid", at: "10:30" } });
  await act(async () => answer({ cursor: id }));
  await pass();
  assert.deepEqual([seen.last.entities.get("O-1"), seen.last.isPending], [{ stage: "paid", at: "10:30" }, false]);
});
