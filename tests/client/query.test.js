import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import { bindQueryClient, bindSwr } from "../../gateway/static/query.js";
import { createClock, settle } from "./support/clock.js";
import { act, h, React, show } from "./support/dom.js";
import { anEvent, createFakeSync } from "./support/fake_sync.js";

const require = createRequire(import.meta.url);
const { QueryClient, QueryObserver } = require("@tanstack/query-core");
const { SWRConfig, default: useSWR, useSWRConfig } = require("swr");

const order = (id, members = {}) => anEvent({ entityType: "order", entityId: id, data: { orderID: id }, ...members });
const KEYS = { order: (id) => [["orders"], ["order", id]] };

/** A query client whose answers a test gives: `asked` counts the requests of each key, `answer(value)` ends those under way. */
function setUp(options) {
  const sync = createFakeSync();
  const clock = createClock();
  const client = new QueryClient({ defaultOptions: { queries: { retry: false, gcTime: Infinity } } });
  client.mount();
  const asked = {};
  let open = [];
  const watch = (queryKey) => {
    const queryFn = () => {
      const name = queryKey.join("/");
      asked[name] = (asked[name] ?? 0) + 1;
      return new Promise((resolve) => open.push(resolve));
    };
    return new QueryObserver(client, { queryKey, queryFn, staleTime: Infinity }).subscribe(() => {});
  };
  const answer = async (value) => {
    const due = open;
    open = [];
    due.forEach((resolve) => resolve(value));
    await settle();
  };
  const unbind = bindQueryClient(sync, client, { clock, random: () => 0.5, ...options });
  return { sync, clock, client, asked, watch, answer, unbind };
}

test("an event asks again for its keys, once in a window however many there are", async () => {
  const { sync, clock, asked, watch, answer } = setUp({ keys: KEYS });
  watch(["orders"]);
  watch(["order", "O-1"]);
  watch(["order", "O-2"]);
  await answer("old");
  for (let count = 0; count < 50; count += 1) {
    sync.emit(order("O-1"));
  }
  await clock.advance(99);
  assert.deepEqual(asked, { orders: 1, "order/O-1": 1, "order/O-2": 1 });
  await clock.advance(1);
  assert.deepEqual(asked, { orders: 2, "order/O-1": 2, "order/O-2": 1 });
  await clock.advance(1000);
  assert.deepEqual(asked, { orders: 2, "order/O-1": 2, "order/O-2": 1 });
  sync.emit(order("O-2"));
  await clock.advance(100);
  assert.deepEqual(asked, { orders: 3, "order/O-1": 2, "order/O-2": 2 });
});

test("events of other entity types and without an entity ask for nothing", async () => {
  const { sync, clock, asked, watch, answer } = setUp({ keys: KEYS });
  watch(["orders"]);
  await answer("old");
  sync.emit(anEvent({ entityType: "invoice", entityId: "I-1", data: {} }));
  sync.emit(anEvent({ eventType: "note", action: "signal", data: {} }));
  await clock.advance(1000);
  assert.deepEqual(asked, { orders: 1 });
});

test("data of an event can be set directly, and what is gone is asked for", async () => {
  const set = { order: (id, data) => [[["order", id], data]] };
  const { sync, clock, client, asked, watch, answer } = setUp({ set });
  watch(["order", "O-1"]);
  await answer("old");
  sync.emit(order("O-1", { data: { orderStage: "paid" } }));
  assert.deepEqual(client.getQueryData(["order", "O-1"]), { orderStage: "paid" });
  await clock.advance(1000);
  assert.deepEqual(asked, { "order/O-1": 1 });
  sync.emit(order("O-1", { action: "delete", data: {} }));
  await clock.advance(100);
  assert.deepEqual(asked, { "order/O-1": 2 });
});

test("an answer that was under way when an event set the data does not replace it", async () => {
  const set = { order: (id, data) => [[["order", id], data]] };
  const { sync, clock, client, asked, watch, answer } = setUp({ set });
  watch(["order", "O-1"]);
  sync.emit(order("O-1", { data: { orderStage: "paid" } }));
  await clock.advance(100);
  await answer({ orderStage: "sent" });
  assert.equal(asked["order/O-1"], 2);
  assert.deepEqual(client.getQueryData(["order", "O-1"]), { orderStage: "sent" });
});

test("a whole state is set, and asks for nothing", async () => {
  const state = { order: (orders) => [[["orders"], [...orders.values()]], ...[...orders].map(([id, data]) => [["order", id], data])] };
  const { sync, clock, client, asked, watch, answer } = setUp({ keys: KEYS, state });
  watch(["orders"]);
  await answer("old");
  sync.keep("order", { "O-1": { orderID: "O-1" } });
  sync.say("reset", { state: true, jitterMs: 1000 });
  sync.say("state", { entityType: "order", last: false });
  assert.equal(client.getQueryData(["orders"]), "old");
  sync.say("state", { entityType: "order", last: true });
  assert.deepEqual(client.getQueryData(["orders"]), [{ orderID: "O-1" }]);
  assert.deepEqual(client.getQueryData(["order", "O-1"]), { orderID: "O-1" });
  await clock.advance(10_000);
  assert.deepEqual(asked, { orders: 1 });
});

test("a state that was kept from the visit before is set when the sync says that it is whole", () => {
  const state = { order: (orders) => [[["orders"], [...orders.values()]]] };
  const { sync, client } = setUp({ state });
  sync.keep("order", { "O-1": { orderID: "O-1" } });
  sync.say("connected", { recovered: true });
  assert.equal(client.getQueryData(["orders"]), undefined);
  sync.complete = true;
  sync.say("connected", { recovered: true });
  assert.deepEqual(client.getQueryData(["orders"]), [{ orderID: "O-1" }]);
});

for (const [sentence, options, says, due] of [
  ["everything", { keys: KEYS }, {}, { orders: 2, other: 2 }],
  ["what `all` names", { keys: KEYS, all: [["orders"]] }, {}, { orders: 2, other: 1 }],
  ["everything where the state of some of it follows", { keys: KEYS, state: { invoice: () => [] } }, { state: true }, { orders: 2, other: 2 }],
]) {
  test(`a reset asks for ${sentence}, after a part of its jitter`, async () => {
    const { sync, clock, asked, watch, answer } = setUp(options);
    watch(["orders"]);
    watch(["other"]);
    await answer("old");
    sync.say("reset", { reason: "trimmed", jitterMs: 2000, ...says });
    await clock.advance(999);
    assert.deepEqual(asked, { orders: 1, other: 1 });
    await clock.advance(1);
    assert.deepEqual(asked, due);
  });
}

test("nothing is asked for once it is unbound", async () => {
  const { sync, clock, asked, watch, answer, unbind } = setUp({ keys: KEYS });
  watch(["orders"]);
  await answer("old");
  sync.emit(order("O-1"));
  sync.emit(order("O-2"));
  sync.say("reset", {});
  sync.say("reset", {});
  unbind();
  sync.emit(order("O-1"));
  await clock.advance(10_000);
  assert.deepEqual(asked, { orders: 1 });
  assert.equal(clock.pending(), 0);
  assert.equal(sync.listeners(), 0);
});

test("SWR asks again for an event's keys, and shows what an event or a state sets", async () => {
  const sync = createFakeSync();
  const clock = createClock();
  const asked = [];
  const fetcher = async (key) => {
    asked.push(key);
    return `${key} ${asked.length}`;
  };
  const Page = () => {
    const { mutate } = useSWRConfig();
    React.useEffect(
      () =>
        bindSwr(sync, mutate, {
          clock,
          keys: { order: (id) => ["/orders", `/orders/${id}`] },
          set: { invoice: (id, data) => [[`/invoices/${id}`, data.title]] },
          state: { invoice: (invoices) => [["/invoices/I-1", `${invoices.size} kept`]] },
        }),
      [mutate],
    );
    return ["/orders", "/orders/O-1", "/invoices/I-1"].map((key) => h("p", { key }, useSWR(key, fetcher).data));
  };
  const shown = await show(h(SWRConfig, { value: { provider: () => new Map(), dedupingInterval: 0 } }, h(Page)));
  await act(settle);
  assert.equal(asked.length, 3);
  await act(async () => {
    sync.emit(order("O-1"));
    sync.emit(order("O-1"));
    await clock.advance(100);
  });
  assert.deepEqual(asked.slice(3), ["/orders", "/orders/O-1"]);
  assert.equal(shown.text(), "/orders 4/orders/O-1 5/invoices/I-1 3");
  await act(async () => {
    sync.emit(anEvent({ entityType: "invoice", entityId: "I-1", data: { title: "paid" } }));
    await settle();
  });
  assert.match(shown.text(), /paid$/);
  await act(async () => {
    sync.keep("invoice", { "I-1": {} });
    sync.say("state", { last: true });
    await settle();
  });
  assert.match(shown.text(), /1 kept$/);
  assert.equal(asked.length, 5);
  await act(async () => {
    sync.say("reset", {});
    await clock.advance(0);
  });
  assert.equal(asked.length, 8);
  await shown.unmount();
  assert.equal(sync.listeners(), 0);
});
