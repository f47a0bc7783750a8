import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { readFileSync } from "node:fs";
import { createSync } from "../../gateway/static/tidegate.js";
import { readSettings } from "../../gateway/static/parts/settings.js";
import { settle } from "./support/clock.js";
import { createWorld, tokenOf } from "./support/synced.js";
import { createBrowser } from "./support/tabs.js";

const ORDERS = { entities: ["order"] };

test("it connects in a microtask, so that handlers set at once miss nothing", async () => {
  const { open, gateway, settle } = createWorld();
  const sync = open(ORDERS);
  const got = [];
  sync.on("*", (data, type) => got.push(type));
  assert.equal(sync.state, "initialized");
  assert.equal(sync.transport, "sse");
  assert.equal(sync.health, "connecting");
  assert.equal(gateway.requests.length, 0);
  await Promise.resolve();
  await Promise.resolve();
  assert.equal(sync.state, "connecting");
  await settle();
  assert.equal(sync.state, "connected");
  assert.equal(sync.health, "healthy");
  gateway.publish();
  await settle();
  assert.deepEqual(got, ["connected", "stage_change"]);
  sync.close();
});

test("outside of a page it has no tabs to look for, and lets its process end", () => {
  const script = `
    import { createSync } from "${new URL("../../gateway/static/tidegate.js", import.meta.url)}";
    const sync = createSync({ baseUrl: "http://gateway.test", fetch: async () => new Response(null, { status: 403 }) });
    let turns = 0;
    const turn = () => (sync.state === "initialized" ? queueMicrotask(turn, (turns += 1)) : console.log(sync.state, turns < 10));
    turn();
    await new Promise((resolve) => sync.onChange(() => sync.state === "failed" && resolve()));
    console.log(sync.state);
    sync.close();
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8", timeout: 60_000 });
  assert.deepEqual([stdout, stderr], ["connecting true\nfailed\n", ""]);
});

test("nothing waits for what counts tabs that can't share a stream", async () => {
  const { gateway, clock, storage } = createWorld();
  const opened = [];
  const openChannel = (name) => {
    opened.push(name);
    return { postMessage: () => {}, close: () => void opened.splice(opened.indexOf(name), 1) };
  };
  const page = { hidden: () => false, on: () => () => {} };
  const injected = { fetch: gateway.fetch, clock, storage, locks: null, openChannel, page };
  const sync = createSync({ baseUrl: "http://gateway.test/sync", ...ORDERS, ...injected });
  for (let turn = 0; turn < 20 && !gateway.requests.length; turn += 1) await Promise.resolve();
  assert.equal(gateway.asked("events").length, 1);
  while (!opened.includes("tidegate:tabs:http://gateway.test")) await settle();
  sync.close();
  while (opened.length) await settle();
});

test("an origin may have a path, with a slash at its end or not", async () => {
  for (const baseUrl of ["http://gateway.test/sync", "http://gateway.test/sync/"]) {
    const { opened, gateway } = createWorld();
    const sync = await opened({ ...ORDERS, baseUrl });
    assert.match(gateway.requests[0].url, /^http:\/\/gateway\.test\/sync\/api\/v1\/sync\/events\?entity=order&clientId=/);
    sync.close();
  }
});

test("on(type) gives events and their ids, subscribe what was asked for, and both are undone", async () => {
  const { opened, gateway, settle } = createWorld();
  const sync = await opened();
  const got = [];
  const offs = [
    sync.on("stage_change", (event, id) => got.push(["on", event.entityId, id])),
    sync.subscribe({ entities: "order:O-2" }, (event) => got.push(["one", event.entityId])),
    sync.subscribe((event) => got.push(["all", event.entityId])),
  ];
  gateway.publish();
  gateway.publish({ entityId: "O-2" });
  await settle();
  offs.forEach((off) => off());
  gateway.publish();
  await settle();
  assert.deepEqual(got, [["on", "O-1", "e1.1-0"], ["all", "O-1"], ["on", "O-2", "e1.2-0"], ["one", "O-2"], ["all", "O-2"]]);
  sync.close();
});

test("a change is told once for all that one task brings, with one snapshot until the next", async () => {
  const { opened, gateway, settle } = createWorld();
  const sync = await opened();
  let told = 0;
  const off = sync.onChange(() => (told += 1));
  for (let n = 0; n < 5; n += 1) gateway.publish();
  await settle();
  const snapshot = sync.getSnapshot();
  assert.ok(told >= 1 && told <= 5);
  assert.equal(sync.getSnapshot(), snapshot);
  assert.equal(snapshot.state, "connected");
  assert.equal(snapshot.health, "healthy");
  assert.equal(snapshot.error, null);
  assert.equal(snapshot.cursor, "e1.5-0");
  assert.equal(snapshot.lastEvent.id, "e1.5-0");
  assert.equal(snapshot.events.length, 5);
  assert.equal(snapshot.metrics.totalEvents, 5);
  const before = told;
  gateway.publish();
  await settle();
  assert.equal(told, before + 1);
  assert.notEqual(sync.getSnapshot(), snapshot);
  off();
  sync.close();
  await settle();
  assert.equal(told, before + 1);
});

test("whoever never reads a snapshot is told of changes all the same", async () => {
  const { open, settle } = createWorld();
  const sync = open();
  const states = [];
  sync.onChange(() => states.push(sync.state));
  await settle();
  assert.deepEqual(states.at(-1), "connected");
  sync.close();
  await settle();
  assert.deepEqual(states.at(-1), "disconnected");
});

test("events can be iterated, from the moment on at which the loop begins until the sync is closed", async () => {
  const { opened, gateway, settle } = createWorld();
  const sync = await opened();
  const got = [];
  const loop = (async () => {
    for await (const event of sync) got.push(event.data.n);
  })();
  for (let n = 0; n < 3; n += 1) gateway.publish();
  await settle();
  sync.close();
  await loop;
  assert.deepEqual(got, [1, 2, 3]);
});

test("a loop that is too far behind gets what was kept for it, and then an error instead of a gap", async () => {
  const { opened, gateway, settle } = createWorld();
  const sync = await opened({ eventHistoryLimit: 0 });
  const events = sync[Symbol.asyncIterator]();
  for (let n = 0; n < 10_001; n += 1) gateway.publish();
  while (sync.metrics.totalEvents < 10_001) await settle();
  for (let n = 1; n <= 10_000; n += 1) assert.equal((await events.next()).value.data.n, n);
  await assert.rejects(events.next(), /10000 events behind/);
  assert.deepEqual(await events.next(), { value: undefined, done: true });
  sync.close();
});

test("a loop that is left listens no more", async () => {
  const { opened, gateway, settle } = createWorld();
  const sync = await opened();
  const events = sync[Symbol.asyncIterator]();
  gateway.publish();
  await settle();
  await events.next();
  await events.return();
  gateway.publish();
  await settle();
  assert.equal((await events.next()).done, true);
  sync.close();
});

test("entities are what state and events made of them", async () => {
  const { opened, gateway, settle } = createWorld();
  gateway.setState({ order: { "O-1": { n: 0 }, "O-2": { n: 0 } } });
  const sync = await opened({ ...ORDERS, state: true });
  assert.equal(sync.complete, true);
  gateway.publish();
  await settle();
  assert.deepEqual([...sync.entities("order")], [["O-1", { n: 1 }], ["O-2", { n: 0 }]]);
  sync.close();
});

test("a reload goes on where the page was, with what it had", async () => {
  const { opened, gateway, settle } = createWorld();
  gateway.setState({ order: { "O-1": { n: 0 } } });
  const one = await opened({ ...ORDERS, state: true });
  gateway.publish();
  await settle();
  one.close();
  gateway.publish({ entityId: "O-2" });
  const next = await opened({ ...ORDERS, state: true });
  assert.equal(gateway.requests.at(-1).params.get("lastEventId"), "e1.1-0");
  assert.equal(next.metrics.totalEvents, 1, "the one that came between the loads");
  assert.deepEqual([...next.entities("order").keys()], ["O-1", "O-2"]);
  next.close();
});

test("what is kept is kept for one user and one selection", async () => {
  const { opened, gateway, settle } = createWorld();
  const one = await opened({ ...ORDERS, userId: "u1" });
  gateway.publish();
  await settle();
  one.close();
  for (const [given, cursor] of [
    [{ ...ORDERS, userId: "u2" }, null],
    [{ entities: ["job"], userId: "u1" }, null],
    [{ ...ORDERS, userId: "u1", presence: ["portal"] }, "e1.1-0"],
    [{ ...ORDERS, userId: "u1" }, "e1.1-0"],
    [{ ...ORDERS, userId: "u1", enablePersistence: false }, null],
  ]) {
    const sync = await opened(given);
    assert.equal(gateway.asked("events").at(-1).params.get("lastEventId"), cursor, JSON.stringify(given));
    sync.close();
  }
});

test("with tokens the user is their subject, and with opaque ones nothing is kept", async () => {
  const { opened, gateway, keys, settle } = createWorld();
  const kept = () => keys().filter((key) => key.startsWith("tidegate:sync:"));
  for (const [token, expected] of [["opaque", []], [tokenOf({ sub: "user 1" }), ["tidegate:sync:user%201"]]]) {
    const sync = await opened({ ...ORDERS, getToken: () => token });
    assert.equal(gateway.requests.at(-1).headers.Authorization, `Bearer ${token}`);
    gateway.publish();
    await settle();
    sync.close();
    assert.deepEqual(kept().map((key) => key.split(":").slice(0, 3).join(":")), expected);
  }
});

test("a getToken that fails is asked again, and its sync connects then", async () => {
  const { open, clock, settle } = createWorld();
  let calls = 0;
  const sync = open({
    ...ORDERS,
    getToken() {
      calls += 1;
      if (calls < 3) throw new Error("offline");
      return tokenOf({ sub: "u" });
    },
  });
  await settle();
  assert.notEqual(sync.state, "failed");
  await clock.advance(10_000);
  assert.equal(sync.state, "connected");
  sync.close();
});

test("signing out forgets what was kept and what is in memory", async () => {
  const { opened, gateway, keys, settle } = createWorld();
  gateway.setState({ order: { "O-1": { n: 0 } } });
  const sync = await opened({ ...ORDERS, state: true });
  gateway.publish();
  await settle();
  sync.signOut();
  await settle();
  assert.equal(sync.state, "disconnected");
  assert.equal(sync.cursor, null);
  assert.equal(sync.entities("order").size, 0);
  assert.deepEqual(sync.events, []);
  assert.equal(sync.getSnapshot().lastEvent, null);
  assert.deepEqual(keys().filter((key) => !key.startsWith("tidegate:client-id") && !key.startsWith("tidegate:mute")), []);
});

test("a closed sync leaves no timer and no stream, and reconnect brings it back", async () => {
  const { opened, gateway, clock, settle } = createWorld();
  const sync = await opened({ ...ORDERS, enablePersistence: false });
  gateway.publish();
  await settle();
  sync.close();
  await settle();
  assert.equal(sync.state, "disconnected");
  assert.equal(sync.health, "disconnected");
  assert.equal(gateway.streams.length, 0);
  assert.equal(clock.pending(), 0);
  gateway.publish();
  sync.reconnect();
  await settle();
  assert.equal(sync.state, "connected");
  assert.equal(sync.metrics.totalEvents, 2, "it went on at its cursor");
  sync.close();
});

test("one that is closed at once never connects", async () => {
  const { open, gateway, settle } = createWorld();
  for (const given of [ORDERS, { getToken: () => tokenOf({ sub: "u" }) }]) {
    const sync = open(given);
    sync.close();
    await settle();
    assert.equal(sync.state, "disconnected");
  }
  assert.equal(gateway.requests.length, 0);
});

test("a browser has one client id over its loads, of 128 random bits", async () => {
  const world = createWorld();
  const [one, other] = [world.open(), world.open()];
  assert.match(one.clientId, /^\d+(-\d+){3}$/);
  assert.equal(other.clientId, one.clientId);
  assert.notEqual(createWorld().open().clientId, one.clientId);
  assert.equal(world.open({ clientId: "mine" }).clientId, "mine");
});

test("options that can't be meant are refused with what to write", () => {
  for (const [given, hint] of [
    [{ entitys: ["order"] }, /no option entitys/],
    [{ entities: ["order:"] }, /order:O-1/],
    [{ filter: "branch" }, /branch_id=eq\.7/],
    [{ eventTypes: "a b" }, /A-Z a-z 0-9/],
    [{ presence: "a b" }, /A-Z a-z 0-9/],
    [{ maxReconnectAttempts: -1 }, /maxReconnectAttempts has to be a number/],
    [{ reconnectDelay: NaN }, /reconnectDelay has to be a number/],
    [{ eventHistoryLimit: "100" }, /eventHistoryLimit has to be a number/],
  ]) {
    assert.throws(() => createSync(given), (error) => error instanceof TypeError && hint.test(error.message), JSON.stringify(given));
  }
});

test("the options of the seeds are taken as they are, and their defaults are what the docs say", () => {
  const settings = readSettings({ autoReconnect: true, maxReconnectAttempts: 10, reconnectDelay: 500, eventHistoryLimit: 200, enablePersistence: false }, {});
  assert.equal(settings.maxReconnectAttempts, 10);
  const usual = readSettings({}, {});
  assert.deepEqual(
    ["baseUrl", "state", "autoReconnect", "maxReconnectAttempts", "reconnectDelay", "eventHistoryLimit", "enablePersistence", "telemetry", "shared", "hints", "credentials"].map((name) => usual[name]),
    ["", false, true, Infinity, 1000, 100, true, true, true, "off", "include"],
  );
  assert.notEqual(usual.presence, readSettings({}, {}).presence, "a list of its own, for it grows");
  assert.deepEqual(readSettings({ filter: "a=eq.1" }, {}).filter, ["a=eq.1"]);
  assert.equal(readSettings({ withCredentials: false }, {}).credentials, "same-origin");
});

test("its version is the package's", () => {
  const url = new URL("../../gateway/static/package.json", import.meta.url);
  assert.equal(readSettings({}, {}).clientVersion, JSON.parse(readFileSync(url, "utf8")).version);
});

test("metrics count what came, and what became of the connection", async () => {
  const { opened, gateway, clock, settle } = createWorld();
  const sync = await opened({ ...ORDERS, telemetry: false });
  assert.deepEqual(sync.metrics, {
    totalEvents: 0, duplicatesDropped: 0, malformed: 0, lastEvent: null, eventCounts: {},
    uptime: 0, totalReconnects: 0, lagMs: null, transport: "sse", fallbacks: 0,
  });
  await clock.advance(2000);
  const told = new Date(clock.wall() - 70).toISOString();
  gateway.publish({ timestamp: told });
  gateway.stream.send("event: u\ndata: [1]\n\n");
  await settle();
  assert.equal(sync.metrics.totalEvents, 1);
  assert.equal(sync.metrics.malformed, 1);
  assert.equal(sync.metrics.uptime, 2000);
  assert.equal(sync.metrics.lagMs, 70);
  assert.equal(sync.metrics.lastEvent.timestamp, told);
  assert.deepEqual(sync.metrics.eventCounts, { stage_change: 1 });
  gateway.stream.cut();
  await clock.advance(1000);
  assert.equal(sync.metrics.totalReconnects, 1);
  gateway.answerAlways("events", 503);
  gateway.stream.cut();
  await clock.advance(10_000);
  assert.equal(sync.transport, "poll");
  assert.equal(sync.health, "polling");
  assert.equal(sync.metrics.fallbacks, 1);
  assert.equal(sync.metrics.transport, "poll");
  sync.close();
  assert.equal(sync.metrics.uptime, 0);
});

test("autoRefresh asks the gateway for hints, with one new stream at the same cursor, and stops", async () => {
  const { opened, gateway, clock, settle } = createWorld();
  const sync = await opened(ORDERS);
  gateway.publish();
  await settle();
  let refetched = 0;
  const stop = sync.autoRefresh("order", () => (refetched += 1), { debounceMs: 200 });
  await settle();
  await clock.advance(10);
  const { params } = gateway.asked("events").at(-1);
  assert.deepEqual([params.get("hints"), params.get("debounceMs"), params.get("lastEventId")], ["with", "200", "e1.1-0"]);
  assert.equal(gateway.streams.length, 1);
  gateway.stream.control("refresh", { entityType: "order", entityId: "O-1", eventTypes: ["stage_change"], count: 1, jitterMs: 0 });
  await clock.advance(10);
  assert.equal(refetched, 1);
  stop();
  gateway.stream.control("refresh", { entityType: "order", entityId: "O-1", eventTypes: ["stage_change"], count: 1, jitterMs: 0 });
  await clock.advance(10_000);
  assert.equal(refetched, 1);
  sync.close();
});

test("autoRefresh that is stopped at once refetches nothing", async () => {
  const { opened, gateway, clock } = createWorld();
  const sync = await opened(ORDERS);
  sync.autoRefresh("order", () => assert.fail("it was stopped"))();
  gateway.publish();
  await clock.advance(10_000);
  sync.close();
});

test("a write is shown at once and sent once there is a connection", async () => {
  const { opened, gateway, clock, settle } = createWorld();
  gateway.setState({ order: { "O-1": { n: 0 } } });
  const sync = await opened({ ...ORDERS, state: true });
  await clock.advance(10);
  gateway.answer("http://gateway.test/orders/O-1", 204);
  const sent = sync.optimistic("order:O-1", { mine: true }, { write: async () => ({ cursor: "e1.1-0" }) });
  await settle();
  assert.deepEqual(sync.entities("order").get("O-1"), { n: 0, mine: true });
  await sent;
  gateway.publish();
  await settle();
  assert.deepEqual(sync.entities("order").get("O-1"), { n: 1 }, "the stream has reached the write");
  sync.close();
});

test("tabs of one user and selection share one stream, and others have their own", async () => {
  const browser = createBrowser();
  const { gateway } = createWorld();
  const open = (options) => {
    const { environment, page } = browser.open();
    const { clock, locks, openChannel } = environment;
    const injected = { fetch: gateway.fetch, clock, locks, openChannel, page, storage: browser.storage };
    return createSync({ baseUrl: "http://gateway.test", ...ORDERS, telemetry: false, ...injected, ...options });
  };
  const first = open();
  await browser.advance(500);
  const second = open();
  const other = open({ entities: ["job"] });
  const alone = open({ shared: false });
  await browser.advance(3000);
  assert.deepEqual([first, second, other, alone].map((sync) => sync.transport), ["sse", "shared", "sse", "sse"]);
  assert.deepEqual([first, second].map((sync) => sync.health), ["healthy", "healthy"]);
  assert.equal(gateway.streams.length, 3);
  gateway.publish();
  await browser.advance(100);
  assert.deepEqual([first, second, alone].map((sync) => sync.metrics.totalEvents), [1, 1, 1]);
  first.close();
  await browser.advance(3000);
  assert.equal(second.transport, "sse", "the other tab leads now");
  gateway.publish();
  await browser.advance(100);
  assert.equal(second.metrics.totalEvents, 2);
  [second, other, alone].forEach((sync) => sync.close());
});
