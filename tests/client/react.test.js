import assert from "node:assert/strict";
import { test } from "node:test";

import { createHooks } from "../../gateway/static/react.js";
import { act, h, React, renderToString, show } from "./support/dom.js";
import { anEvent, createFakes, createFakeSync } from "./support/fake_sync.js";

/** Hooks over fakes, and `page(Component, props)`, which shows it below a provider. */
function setUp(config = {}) {
  const fakes = createFakes();
  const hooks = createHooks(React, { open: fakes.open });
  const below = (element, props = {}) => h(hooks.SyncManagerProvider, { initialConfig: config, ...props }, element);
  return { ...hooks, opened: fakes.opened, below, page: (element, options) => show(below(element), options) };
}

/** A component that renders what `use` gives, as JSON, and keeps the last of it. */
function probe(use) {
  const seen = { renders: 0, last: undefined };
  const Probe = (props) => {
    seen.last = use(props);
    seen.renders += 1;
    return h("pre", null, JSON.stringify(seen.last, (key, value) => (key === "sync" ? undefined : value)));
  };
  return { Probe, seen };
}

const order = (id, members = {}) => anEvent({ entityType: "order", entityId: id, data: { orderID: id }, ...members });

test("a provider opens one sync, and closes it when it is gone for good", async () => {
  const { page, opened, useConnectionHealth } = setUp({ entities: ["order"] });
  const { Probe } = probe(useConnectionHealth);
  const shown = await page(h(Probe));
  assert.equal(opened.length, 1);
  assert.deepEqual(opened[0].options.entities, ["order"]);
  assert.equal(opened[0].closed, false);
  await shown.unmount();
  assert.equal(opened[0].closed, true);
  assert.equal(opened[0].listeners(), 0);
});

test("a provider in StrictMode opens one sync and leaves it open", async () => {
  const { page, opened, useSyncManager } = setUp();
  const { Probe } = probe(useSyncManager);
  const shown = await page(h(Probe), { strict: true });
  assert.equal(opened.length, 1);
  assert.equal(opened[0].closed, false);
  await shown.unmount();
  assert.equal(opened[0].closed, true);
  assert.equal(opened[0].listeners(), 0);
});

test("on the server nothing opens, and the page's first rendering is the server's", async () => {
  const { below, opened, useConnectionHealth, ConnectionStatus } = setUp();
  const { Probe, seen } = probe(useConnectionHealth);
  const element = below(h("main", null, h(Probe), h(ConnectionStatus)));
  const html = renderToString(element);
  assert.equal(opened.length, 0);
  assert.match(html, /connecting/);
  const errors = [];
  const { error } = console;
  console.error = (...what) => errors.push(what);
  await show(element, { hydrate: html }).finally(() => (console.error = error));
  assert.deepEqual(errors, []);
  assert.equal(opened.length, 1);
  assert.equal(seen.last.status, "connecting");
});

test("a sync that the application made is used, and left open", async () => {
  const { useConnectionHealth, SyncManagerProvider, opened } = setUp();
  const { Probe, seen } = probe(useConnectionHealth);
  const sync = createFakeSync();
  const shown = await show(h(SyncManagerProvider, { sync }, h(Probe)));
  await act(async () => sync.become({ state: "connected", health: "healthy" }));
  assert.deepEqual([seen.last.status, seen.last.isConnected], ["healthy", true]);
  await shown.unmount();
  assert.equal(sync.closed, false);
  assert.equal(sync.listeners(), 0);
  assert.equal(opened.length, 0);
});

test("a page that the server rendered begins as the server left it, also where its sync is connected already", async () => {
  const { useConnectionHealth, useEntitySync, SyncManagerProvider } = setUp();
  const sync = createFakeSync();
  sync.become({ state: "connected", health: "healthy" });
  sync.keep("order", { "O-1": { stage: "paid" } });
  const { Probe, seen } = probe(() => [useConnectionHealth().status, useEntitySync("order").entities.size]);
  const element = h(SyncManagerProvider, { sync }, h(Probe));
  const errors = [];
  const { error } = console;
  console.error = (...what) => errors.push(what);
  await show(element, { hydrate: '<pre>["connecting",0]</pre>' }).finally(() => (console.error = error));
  assert.deepEqual(errors, []);
  assert.deepEqual(seen.last, ["healthy", 1]);
});

test("getToken is the newest that was rendered", async () => {
  const { SyncManagerProvider, opened } = setUp();
  const at = (token) => h(SyncManagerProvider, { initialConfig: { getToken: () => token } });
  const shown = await show(at("first"));
  await shown.render(at("second"));
  assert.equal(opened.length, 1);
  assert.equal(opened[0].options.getToken(), "second");
});

test("enablePersistence of the provider is the sync's option", async () => {
  const { SyncManagerProvider, opened } = setUp();
  await show(h(SyncManagerProvider, { initialConfig: { enablePersistence: true }, enablePersistence: false }));
  assert.equal(opened[0].options.enablePersistence, false);
});

test("a hook without a provider says what to do", async () => {
  const { useSyncManager } = setUp();
  const { Probe } = probe(useSyncManager);
  const { error } = console;
  console.error = () => {};
  try {
    await assert.rejects(show(h(Probe)), /put <SyncManagerProvider/);
  } finally {
    console.error = error;
  }
});

test("useSyncManager gives events, state and what to do with it", async () => {
  const { page, opened, useSyncManager, ConnectionState } = setUp();
  const { Probe, seen } = probe(useSyncManager);
  await page(h(Probe));
  const [sync] = opened;
  assert.equal(seen.last.sync, sync);
  assert.equal(seen.last.connectionState, ConnectionState.CONNECTING);
  const { subscribe, reconnect } = seen.last;
  const got = [];
  const all = subscribe((event) => got.push(["all", event.entityId]));
  const some = subscribe({ entities: ["order:O-2"] }, (event) => got.push(["some", event.entityId]));
  await act(async () => {
    sync.emit(order("O-1"));
    sync.emit(order("O-2"));
  });
  assert.deepEqual(got, [["all", "O-1"], ["all", "O-2"], ["some", "O-2"]]);
  assert.equal(seen.last.events, sync.events);
  assert.equal(seen.last.events.length, 2);
  assert.equal(seen.last.subscribe, subscribe);
  all();
  some();
  reconnect();
  assert.equal(sync.reconnects, 1);
  await act(async () => sync.become({ state: "failed", health: "error", error: { message: "no" } }));
  assert.equal(seen.last.connectionState, ConnectionState.ERROR);
  assert.deepEqual(seen.last.error, { message: "no" });
});

test("what an effect subscribes to before the provider is mounted is heard", async () => {
  const { page, opened, useSyncManager } = setUp();
  const got = [];
  const Child = () => {
    const { subscribe } = useSyncManager();
    React.useEffect(() => subscribe((event) => got.push(event.entityId)), [subscribe]);
    return null;
  };
  const shown = await page(h(Child), { strict: true });
  assert.equal(opened.length, 1);
  opened[0].emit(order("O-1"));
  assert.deepEqual(got, ["O-1"]);
  await shown.unmount();
  assert.equal(opened[0].listeners(), 0);
});

test("health alone does not render a component for each event", async () => {
  const { page, opened, useConnectionHealth } = setUp();
  const { Probe, seen } = probe(useConnectionHealth);
  await page(h(Probe));
  const before = seen.renders;
  await act(async () => opened[0].emit(order("O-1")));
  assert.equal(seen.renders, before);
});

test("useEntitySync gives the events of one entity, the newest of them, and its data", async () => {
  const { page, opened, useEntitySync } = setUp();
  const { Probe, seen } = probe(({ id = "O-1" }) => useEntitySync(`order:${id}`, { eventTypes: ["stage_change"], limit: 2 }));
  await page(h(Probe));
  const change = (id, stage) => order(id, { eventType: "stage_change", data: { stage } });
  await act(async () => {
    opened[0].emit(change("O-1", "billed"));
    opened[0].emit(change("O-2", "billed"));
    opened[0].emit(order("O-1"));
    opened[0].emit(change("O-1", "paid"));
    opened[0].emit(change("O-1", "sent"));
    opened[0].keep("order", { "O-1": { stage: "sent" } });
  });
  assert.deepEqual(seen.last.events.map(({ data }) => data.stage), ["paid", "sent"]);
  assert.equal(seen.last.latestEvent.data.stage, "sent");
  assert.deepEqual(seen.last.entity, { stage: "sent" });
  assert.equal(seen.last.entities.size, 1);
});

test("useEntitySync begins with what the history has, and begins anew for another entity", async () => {
  const { below, opened, useEntitySync } = setUp();
  const { Probe, seen } = probe(({ id }) => useEntitySync(`order:${id}`));
  const shown = await show(below(null));
  opened[0].emit(order("O-1"));
  opened[0].emit(order("O-2"));
  await shown.render(below(h(Probe, { id: "O-1" })));
  assert.deepEqual(seen.last.events.map(({ entityId }) => entityId), ["O-1"]);
  const { events } = seen.last;
  await shown.render(below(h(Probe, { id: "O-1" })));
  assert.equal(seen.last.events, events);
  await shown.render(below(h(Probe, { id: "O-2" })));
  assert.deepEqual(seen.last.events.map(({ entityId }) => entityId), ["O-2"]);
});

test("useStageChange calls the newest handler with the stage before and now, and subscribes once", async () => {
  const { below, opened, useStageChange } = setUp();
  const calls = [];
  const Page = ({ name }) => {
    useStageChange("order:O-1", (event, previous, next) => calls.push([name, previous, next]));
    return null;
  };
  const shown = await show(below(h(Page, { name: "first" })));
  const subscribe = opened[0].subscribe;
  opened[0].subscribe = () => assert.fail("subscribed again");
  await shown.render(below(h(Page, { name: "second" })));
  const data = { previousStage: "billed", newStage: "paid" };
  await act(async () => opened[0].emit(order("O-1", { eventType: "stage_change", data })));
  await act(async () => opened[0].emit(order("O-2", { eventType: "stage_change", data })));
  assert.deepEqual(calls, [["second", "billed", "paid"]]);
  opened[0].subscribe = subscribe;
});

for (const [options, data, previous] of [
  [{ eventType: "payment_status_change" }, { previousPaymentStatus: "open", newPaymentStatus: "paid" }, undefined],
  [{ member: "paymentStatus" }, { paymentStatus: "paid" }, { paymentStatus: "open" }],
]) {
  test(`useStageChange finds both values with ${JSON.stringify(options)}`, async () => {
    const { page, opened, useStageChange } = setUp();
    const calls = [];
    const { Probe } = probe(() => useStageChange("order", (event, ...values) => calls.push(values), options));
    await page(h(Probe));
    const { eventType = "stage_change" } = options;
    await act(async () => opened[0].emit(order("O-1", { eventType, data, previous })));
    assert.deepEqual(calls, [["open", "paid"]]);
  });
}

test("useAutoRefresh does not begin anew for an inline array or function, and does for other options", async () => {
  const { below, opened, useAutoRefresh } = setUp();
  const refetched = [];
  const Page = ({ name, debounceMs = 500 }) => {
    useAutoRefresh("order:O-1", () => refetched.push(name), { eventTypes: ["stage_change"], debounceMs });
    return null;
  };
  const shown = await show(below(h(Page, { name: "first" })));
  await shown.render(below(h(Page, { name: "second" })));
  const [{ refreshes }] = opened;
  assert.equal(refreshes.length, 1);
  assert.deepEqual([refreshes[0].entity, refreshes[0].options], ["order:O-1", { eventTypes: ["stage_change"], debounceMs: 500 }]);
  refreshes[0].refetch();
  assert.deepEqual(refetched, ["second"]);
  await shown.render(below(h(Page, { name: "third", debounceMs: 100 })));
  assert.deepEqual(refreshes.map(({ stopped }) => stopped), [true, false]);
  await shown.unmount();
  assert.deepEqual(refreshes.map(({ stopped }) => stopped), [true, true]);
});

test("useDashboardSync refreshes on whatever the sync selects", async () => {
  const { page, opened, useDashboardSync } = setUp();
  const { Probe } = probe(() => useDashboardSync(() => {}, { maxWaitMs: 1000 }));
  await page(h(Probe));
  const [{ entity, options }] = opened[0].refreshes;
  assert.deepEqual([entity, options], [null, { maxWaitMs: 1000 }]);
});

test("useEventTypeSync calls its handler and keeps the events of the types", async () => {
  const { page, opened, useEventTypeSync } = setUp();
  const handled = [];
  const { Probe, seen } = probe(() => useEventTypeSync("payment_update", (event) => handled.push(event)));
  await page(h(Probe));
  await act(async () => {
    opened[0].emit(order("O-1"));
    opened[0].emit(order("O-1", { eventType: "payment_update" }));
  });
  assert.equal(handled.length, 1);
  assert.deepEqual(seen.last.events, handled);
  assert.equal(seen.last.latestEvent, handled[0]);
});

test("usePollingFallback polls while nothing else works, and no longer", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { page, opened, usePollingFallback } = setUp();
  let polls = 0;
  const poll = async () => {
    polls += 1;
  };
  const { Probe, seen } = probe(() => usePollingFallback(poll, { intervalMs: 1000, graceMs: 100 }));
  await page(h(Probe));
  const pass = async (ms) => {
    context.mock.timers.tick(ms);
    await act(async () => {});
  };
  await pass(10_000);
  assert.equal(polls, 0);
  await act(async () => opened[0].become({ state: "unavailable", health: "error" }));
  assert.equal(seen.last.isPolling, true);
  await pass(100);
  await pass(1000);
  assert.equal(polls, 2);
  await act(async () => opened[0].become({ state: "connected", health: "healthy" }));
  await pass(10_000);
  assert.equal(polls, 2);
  assert.equal(seen.last.isPolling, false);
  await act(async () => opened[0].become({ transport: "poll", health: "polling" }));
  assert.deepEqual([seen.last.isPolling, seen.last.transport], [true, "poll"]);
});

test("useRealtime tells inserts, updates and deletes apart", async () => {
  const { page, opened, useRealtime } = setUp({ entities: ["booking"] });
  const calls = [];
  const { Probe, seen } = probe(() =>
    useRealtime({
      table: "booking",
      filter: "branch_id=eq.7",
      onInsert: (row) => calls.push(["insert", row.id]),
      onUpdate: (row, old) => calls.push(["update", row.status, old.status]),
      onDelete: (old) => calls.push(["delete", old.id]),
    }),
  );
  await page(h(Probe));
  const booking = (action, members) => anEvent({ entityType: "booking", entityId: "B-1", action, ...members });
  const row = { id: "B-1", branch_id: 7, status: "new" };
  await act(async () => {
    opened[0].emit(booking("insert", { data: row }));
    opened[0].emit(booking("insert", { data: { ...row, branch_id: 8 } }));
    opened[0].emit(booking("update", { data: { ...row, status: "paid" }, previous: { status: "new" } }));
    opened[0].emit(booking("delete", { data: {}, previous: row }));
    opened[0].emit(booking("signal", { data: row }));
    opened[0].become({ state: "connected" });
  });
  assert.equal(opened.length, 1);
  assert.deepEqual(calls, [["insert", "B-1"], ["update", "paid", "new"], ["delete", "B-1"]]);
  assert.equal(seen.last.latestUpdate.action, "delete");
  assert.deepEqual([seen.last.isConnected, seen.last.error], [true, null]);
});

test("useRealtime has a sync of its own for what the provider does not select, one for each selection", async () => {
  const { below, opened, useRealtime } = setUp({ baseUrl: "https://api.shop.example", entities: ["order"] });
  const { Probe } = probe(({ filter = "branch_id=eq.7" }) => useRealtime({ table: "booking", filter }));
  const shown = await show(below([h(Probe, { key: 1 }), h(Probe, { key: 2 })]), { strict: true });
  assert.equal(opened.length, 2);
  const own = opened.find(({ options }) => options.entities[0] === "booking");
  assert.deepEqual([own.options.baseUrl, own.options.filter], ["https://api.shop.example", ["branch_id=eq.7"]]);
  await shown.render(below([h(Probe, { key: 1 })]));
  assert.equal(own.closed, false);
  await shown.render(below(null));
  assert.equal(own.closed, true);
  assert.equal(opened.filter(({ closed }) => !closed).length, 1);
});

for (const [config, table, opened] of [
  [{}, "booking", 1],
  [{ components: ["bookings"] }, "booking", 1],
  [{ entities: ["order", "booking"] }, "booking", 1],
  [{ entities: ["booking:B-1"] }, "booking", 2],
  [{ entities: ["booking"], eventTypes: ["stage_change"] }, "booking", 2],
  [{ entities: ["booking"], filter: "branch_id=eq.8" }, "booking", 2],
]) {
  test(`useRealtime of ${table} needs ${opened} syncs with ${JSON.stringify(config)}`, async () => {
    const up = setUp(config);
    const { Probe } = probe(() => up.useRealtime({ table }));
    const shown = await up.page(h(Probe));
    assert.equal(up.opened.length, opened);
    await shown.unmount();
  });
}

test("makeEntityHook names callbacks as the application does, and selects by a member", async () => {
  const { page, opened, makeEntityHook } = setUp({ entities: ["booking"] });
  const useRealtimeBookings = makeEntityHook("booking", {
    by: "branch_id",
    callbacks: { onNew: "insert", onUpdated: "update", onCancelled: "delete" },
  });
  const calls = [];
  const handlers = Object.fromEntries(
    ["onNew", "onUpdated", "onCancelled"].map((name) => [name, (row) => calls.push([name, row.id])]),
  );
  const { Probe } = probe(() => useRealtimeBookings("7", handlers));
  await page(h(Probe));
  const booking = (id, branch, action) =>
    anEvent({ entityType: "booking", entityId: id, action, data: { id, branch_id: branch } });
  await act(async () => {
    opened[0].emit(booking("B-1", 7, "insert"));
    opened[0].emit(booking("B-2", "7", "update"));
    opened[0].emit(booking("B-3", 8, "insert"));
    opened[0].emit(booking("B-1", 7, "delete"));
  });
  assert.deepEqual(calls, [["onNew", "B-1"], ["onUpdated", "B-2"], ["onCancelled", "B-1"]]);
});

test("makeEntityHook gives values that follow from the rows, and callbacks for some of the changes", async () => {
  const { page, opened, makeEntityHook } = setUp({ entities: ["message"], state: true });
  const useMessageUpdates = makeEntityHook("message", {
    by: "customer_id",
    callbacks: { onNewMessage: "insert", onMessageRead: { on: "update", when: (row, old) => row.read && !old.read } },
    derive: { unreadCount: (rows) => rows.filter(({ read }) => !read).length },
  });
  const read = [];
  const { Probe, seen } = probe(() => useMessageUpdates("c-1", { onMessageRead: ({ id }) => read.push(id) }));
  await page(h(Probe));
  assert.equal(seen.last.unreadCount, 0);
  const row = (id, members) => ({ id, customer_id: "c-1", read: false, ...members });
  await act(async () => {
    opened[0].keep("message", { 1: row(1), 2: row(2, { read: true }), 3: row(3), 4: row(4, { customer_id: "c-2" }) });
    const update = { entityType: "message", entityId: "1", data: row(1, { read: true }) };
    opened[0].emit(anEvent({ ...update, previous: { read: false } }));
    opened[0].emit(anEvent({ ...update, previous: { read: true } }));
  });
  assert.equal(seen.last.unreadCount, 2);
  assert.deepEqual(read, [1]);
});

test("makeAllUpdatesHook is one hook for several entity types", async () => {
  const { page, opened, makeAllUpdatesHook } = setUp({ entities: ["job", "loyalty"] });
  const useAllUpdates = makeAllUpdatesHook({
    Jobs: { entity: "job", by: "customer_id", callbacks: { onJobInsert: "insert" } },
    loyalty: {
      by: "customer_id",
      callbacks: {
        onPointsEarned: { on: "insert", when: ({ points }) => points > 0 },
        onPointsRedeemed: { on: "insert", when: ({ points }) => points < 0 },
      },
      derive: { totalPoints: (rows) => rows.reduce((sum, { points }) => sum + points, 0) },
    },
  });
  const calls = [];
  const names = ["onJobInsert", "onPointsEarned", "onPointsRedeemed"];
  const handlers = Object.fromEntries(names.map((name) => [name, () => calls.push(name)]));
  const { Probe, seen } = probe(() => useAllUpdates("c-1", handlers));
  await page(h(Probe));
  assert.deepEqual([seen.last.isConnected, seen.last.activeSubscriptions], [false, 0]);
  const insert = (entityType, data) =>
    anEvent({ entityType, entityId: "1", action: "insert", data: { customer_id: "c-1", ...data } });
  await act(async () => {
    opened[0].keep("loyalty", { 1: { customer_id: "c-1", points: 5 }, 2: { customer_id: "c-1", points: -2 } });
    opened[0].emit(insert("job", {}));
    opened[0].emit(insert("loyalty", { points: 5 }));
    opened[0].emit(insert("loyalty", { points: -2 }));
    opened[0].become({ state: "connected" });
  });
  assert.deepEqual(calls, names);
  const { isConnected, activeSubscriptions, subscriptions, totalPoints, error } = seen.last;
  assert.deepEqual([isConnected, activeSubscriptions, totalPoints, error], [true, 2, 3, null]);
  assert.deepEqual(subscriptions, [{ name: "Jobs", isConnected: true }, { name: "loyalty", isConnected: true }]);
});

test("usePresence joins once, shows who is there, and tells the others of a meta that changed", async () => {
  const { below, opened, usePresence } = setUp();
  const { Probe, seen } = probe(({ name }) => usePresence("portal", "user-1", { name }));
  const shown = await show(below(h(Probe, { name: "Ann" })), { strict: true });
  await shown.render(below(h(Probe, { name: "Ann" })));
  const room = () => opened[0].rooms.filter(({ left }) => !left);
  assert.equal(room().length, 1);
  assert.deepEqual([room()[0].channel, room()[0].userId, room()[0].metas], ["portal", "user-1", [{ name: "Ann" }]]);
  await act(async () => {
    room()[0].users = { "user-1": { name: "Ann" }, "user-2": { name: "Bob" } };
    room()[0].told.forEach((fn) => fn());
    opened[0].become({ state: "connected", health: "healthy" });
  });
  assert.deepEqual(seen.last, { onlineUsers: { "user-1": { name: "Ann" }, "user-2": { name: "Bob" } }, isConnected: true });
  await act(async () => opened[0].become({ transport: "poll", health: "polling" }));
  assert.equal(seen.last.isConnected, false, "who polls is in no channel");
  await shown.render(below(h(Probe, { name: "Anna" })));
  assert.deepEqual(room()[0].metas, [{ name: "Ann" }, { name: "Anna" }]);
  await shown.render(below(null));
  assert.equal(room().length, 0);
});

test("useBroadcast hears with its newest handlers, sends, and joins again for another channel alone", async () => {
  const { below, opened, useBroadcast } = setUp();
  const heard = [];
  const { Probe, seen } = probe(({ channel = "portal", name }) =>
    useBroadcast(channel, { typing: (payload, from) => heard.push([name, payload, from]) }),
  );
  const shown = await show(below(h(Probe, { name: "first" })));
  await shown.render(below(h(Probe, { name: "second" })));
  const [{ rooms }] = opened;
  assert.equal(rooms.length, 1);
  rooms[0].heard.get("typing")({ in: "O-1" }, "user-2");
  assert.deepEqual(heard, [["second", { in: "O-1" }, "user-2"]]);
  const { send } = seen.last;
  await send("typing", { in: "O-2" });
  assert.deepEqual(rooms[0].sent, [["typing", { in: "O-2" }]]);
  await shown.render(below(h(Probe, { channel: "kitchen" })));
  assert.deepEqual(rooms.map(({ channel, left }) => [channel, left]), [["portal", true], ["kitchen", false]]);
  assert.equal(seen.last.send, send);
  await shown.unmount();
  await assert.rejects(send("typing", {}), /once the component is mounted/);
});

test("useOptimisticUpdates counts what is on its way, and keeps what went wrong", async () => {
  const { page, opened, useOptimisticUpdates } = setUp();
  const { Probe, seen } = probe(() => useOptimisticUpdates("booking"));
  await page(h(Probe));
  await act(async () => opened[0].keep("booking", { "B-1": { status: "new" } }));
  assert.deepEqual(seen.last.entities.get("B-1"), { status: "new" });
  let answer;
  const write = () => new Promise((...settle) => (answer = settle));
  let written;
  await act(async () => void (written = seen.last.update("booking:B-1", { status: "paid" }, write)));
  assert.deepEqual([seen.last.pending, seen.last.isPending], [1, true]);
  await act(async () => answer[0]("done"));
  assert.equal(await written, "done");
  assert.deepEqual([seen.last.pending, seen.last.error], [0, null]);
  await act(async () => void (written = seen.last.update("booking:B-1", {}, { write }).catch((error) => error)));
  const refused = new Error("refused");
  await act(async () => answer[1](refused));
  assert.equal(await written, refused);
  assert.deepEqual([seen.last.pending, seen.last.error], [0, refused]);
  await act(async () => assert.equal((await seen.last.enqueue({ method: "POST" })).status, 202));
  await act(async () => assert.equal((await seen.last.batch([{}, {}])).length, 2));
  assert.equal(seen.last.error, null);
});

const status = (container) => container.querySelector("[role=status]").textContent;

test("ConnectionStatus says how the provider's connection is, and lets its user try again", async () => {
  const { page, opened, ConnectionStatus } = setUp();
  const shown = await page(h(ConnectionStatus, { className: "mine" }));
  const { container } = shown;
  const of = () => container.firstChild.dataset.status;
  assert.match(status(container), /^Connecting/);
  for (const health of ["healthy", "polling", "disconnected"]) {
    await act(async () => opened[0].become({ health }));
    assert.equal(of(), health);
    assert.equal(container.querySelector("button"), null);
  }
  await act(async () => opened[0].become({ health: "error" }));
  assert.match(status(container), /^Connection lost/);
  const button = container.querySelector("button");
  assert.equal(button.closest("[role=status]"), null);
  await act(async () => button.click());
  assert.equal(opened[0].reconnects, 1);
  assert.ok(container.firstChild.classList.contains("mine"));
});

test("ConnectionStatus shows what it is told without a provider, in words in each of its variants", async () => {
  const { ConnectionStatus } = setUp();
  for (const variant of ["default", "compact", "badge"]) {
    for (const showLabel of [true, false]) {
      const shown = await show(h(ConnectionStatus, { isConnected: true, variant, showLabel }));
      assert.match(status(shown.container), /^Live/);
      await shown.render(h(ConnectionStatus, { isConnected: false, variant, showLabel, labels: { disconnected: "Aus" } }));
      assert.match(status(shown.container), /^Aus/);
      assert.equal(shown.container.querySelector("button"), null);
      assert.equal(shown.container.querySelector("[aria-hidden]").textContent, "○");
    }
  }
});

test("MultiSubscriptionStatus says of each subscription whether it is connected", async () => {
  const { MultiSubscriptionStatus } = setUp();
  const subscriptions = [
    { name: "Appointments", isConnected: true },
    { name: "Messages", isConnected: false },
  ];
  const { container } = await show(h(MultiSubscriptionStatus, { subscriptions }));
  assert.equal(status(container), "1/2 connected");
  const items = [...container.querySelectorAll("li")].map(({ textContent }) => textContent);
  assert.deepEqual(items, ["●Appointments: connected", "○Messages: disconnected"]);
});

for (const type of ["job", "invoice", "message", "loyalty", "info"]) {
  test(`RealtimeNotification of a ${type} is announced, and can be acted on and dismissed`, async () => {
    const { RealtimeNotification } = setUp();
    const clicks = [];
    const action = { label: "View Details", onClick: () => clicks.push("action") };
    const onDismiss = () => clicks.push("dismiss");
    const given = { type, title: "New Appointment", message: "March 15", action, onDismiss };
    const { container } = await show(h(RealtimeNotification, given));
    assert.match(status(container), /^\w+: New Appointment/);
    assert.equal(container.firstChild.dataset.type, type);
    const buttons = [...container.querySelectorAll("button")];
    assert.deepEqual(buttons.map((button) => button.getAttribute("aria-label") ?? button.textContent), ["View Details", "Dismiss"]);
    assert.ok(buttons.every((button) => button.type === "button"));
    buttons.forEach((button) => button.click());
    assert.deepEqual(clicks, ["action", "dismiss"]);
  });
}

test("where a page does not know yet whose rows, which entity or which channel it is, hooks select nothing", async () => {
  const { below, opened, ...hooks } = setUp();
  const useInvoices = hooks.makeEntityHook("invoice", { by: "customer_id", derive: { count: (rows) => rows.length } });
  const calls = [];
  const note = (...what) => calls.push(what);
  const { Probe, seen } = probe(({ id }) => {
    hooks.useStageChange(id && `order:${id}`, note);
    hooks.useAutoRefresh(id && `order:${id}`, note);
    hooks.useBroadcast(id, { typing: note });
    const { onlineUsers } = hooks.usePresence(id, "user-1");
    const { events, entity } = hooks.useEntitySync(id && `order:${id}`);
    return { onlineUsers, events, entity, ...useInvoices(id, { onInsert: note }) };
  });
  const shown = await show(below(h(Probe, { id: undefined })));
  const invoice = (id) => anEvent({ entityType: "invoice", entityId: id, action: "insert", data: { customer_id: id } });
  await act(async () => {
    opened[0].keep("invoice", { 1: { customer_id: "O-1" } });
    opened[0].emit(order("O-1", { eventType: "stage_change" }));
    opened[0].emit(invoice("O-1"));
  });
  const { onlineUsers, events, entity, count, latestUpdate } = seen.last;
  assert.deepEqual([calls, onlineUsers, events, entity, count, latestUpdate], [[], {}, [], null, 0, null]);
  assert.deepEqual([opened[0].rooms, opened[0].refreshes], [[], []]);
  await shown.render(below(h(Probe, { id: "O-1" })));
  await act(async () => opened[0].emit(invoice("O-1")));
  assert.deepEqual([calls.length, seen.last.count, seen.last.events.length], [1, 1, 1]);
  assert.deepEqual([opened[0].rooms.length, opened[0].refreshes.length], [2, 1]);
  await shown.unmount();
  assert.equal(opened[0].listeners(), 0);
});

test("a hook about what the provider's sync does not select warns, once, and says what to do", async () => {
  const { page, opened, ...hooks } = setUp({ entities: ["order:O-1"] });
  const warnings = [];
  const { warn } = console;
  console.warn = (text) => warnings.push(text);
  const { Probe } = probe(() => {
    hooks.useEntitySync("order:O-2");
    hooks.useStageChange("invoice:I-1", () => {});
    hooks.useAutoRefresh(["order", "invoice"], () => {});
    hooks.useEventTypeSync("payment_update");
  });
  const shown = await page(h(Probe), { strict: true }).finally(() => (console.warn = warn));
  assert.equal(opened.length, 1);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0], /does not select invoice.*add it to entities/);
  await shown.unmount();
});
