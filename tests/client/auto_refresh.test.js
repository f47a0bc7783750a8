import assert from "node:assert/strict";
import test from "node:test";

import { autoRefresh } from "../../gateway/static/parts/auto_refresh.js";
import { equalOptions } from "../../gateway/static/parts/equal.js";
import { createStore } from "../../gateway/static/parts/store.js";
import { createClock, settle } from "./support/clock.js";
import { control, cursorAt, orderChanged } from "./support/orders.js";

/** A page that refetches: `times` when it did, `reports` of what failed, `finish` ends a refetch where `slow`. */
function refreshing(entity, options, { hints = false, slow = false, random = () => 0.5 } = {}) {
  const clock = createClock();
  const store = createStore();
  const page = { clock, store, times: [], reports: [], hints, finish: [], fail: null };
  const refetch = () => {
    page.times.push(clock.now());
    if (page.fail) throw page.fail;
    return slow ? new Promise((resolve) => page.finish.push(resolve)) : undefined;
  };
  const report = (error) => page.reports.push(error.message);
  const environment = { clock, random };
  page.stop = autoRefresh({ environment, store, hinted: () => page.hints, report }, entity, refetch, options);
  return page;
}

const hint = (entityId, eventTypes = ["order_updated"], jitterMs = 100) =>
  control("refresh", { entityType: "order", entityId, eventTypes, count: 1, cursor: cursorAt(1), jitterMs });

test("a burst of events is one refetch, once it has been quiet for debounceMs", async () => {
  const { clock, store, times } = refreshing("order");
  for (const position of [1, 2, 3]) {
    store.apply(orderChanged(position, `O-${position}`, {}));
    await clock.advance(300);
  }
  assert.deepEqual(times, []);
  await clock.advance(5000);
  assert.deepEqual(times, [1100]);
});

test("events that never rest are waited for no longer than maxWaitMs", async () => {
  const { clock, store, times } = refreshing("order", { debounceMs: 400, maxWaitMs: 1000 });
  for (let position = 1; position <= 12; position += 1) {
    store.apply(orderChanged(position, "O-1", {}));
    await clock.advance(200);
  }
  assert.deepEqual(times, [1000, 2000]);
});

test("only the named entities and event types are refetched for", async () => {
  const { clock, store, times } = refreshing(["order:O-1", "invoice"], { eventTypes: ["stage_change"] });
  store.apply(orderChanged(1, "O-2", {}, { type: "stage_change" }));
  store.apply(orderChanged(2, "O-1", {}));
  await clock.advance(5000);
  assert.deepEqual(times, []);
  store.apply(orderChanged(3, "O-1", {}, { type: "stage_change" }));
  await clock.advance(5000);
  assert.deepEqual(times, [5500]);
});

test("without an entity everything of the selection counts", async () => {
  const { clock, store, times } = refreshing(null);
  store.apply({ type: "tick", id: cursorAt(1), data: { eventType: "tick", action: "signal", data: {} }, control: false });
  await clock.advance(500);
  assert.deepEqual(times, [500]);
});

test("a hint is followed after a delay drawn from its jitter, and its events bring no second refetch", async () => {
  const { clock, store, times } = refreshing("order", {}, { hints: true });
  store.apply(orderChanged(1, "O-1", {}));
  await clock.advance(500);
  store.apply(hint("O-1"));
  await clock.advance(10_000);
  assert.deepEqual(times, [550]);
});

test("hints that come together are one refetch", async () => {
  const { clock, store, times } = refreshing("order", {}, { hints: true });
  store.apply(hint("O-1"));
  store.apply(hint("O-2", ["order_updated"], 400));
  await clock.advance(10_000);
  assert.deepEqual(times, [50]);
});

for (const [name, entity, eventTypes, told, count] of [
  ["of the entity", "order:O-1", undefined, hint("O-1"), 1],
  ["of another entity", "order:O-1", undefined, hint("O-2"), 0],
  ["of the whole type, for one of its entities", "order:O-1", undefined, hint(undefined), 1],
  ["of one entity, for the whole type", "order", undefined, hint("O-1"), 1],
  ["of a type whose name begins alike", "orders", undefined, hint("O-1"), 0],
  ["of an entity whose id holds a colon", "order:a:b", undefined, hint("a:b"), 1],
  ["of the event type", "order", ["stage_change"], hint("O-1", ["order_updated", "stage_change"]), 1],
  ["of other event types", "order", ["stage_change"], hint("O-1"), 0],
  ["of anything, for all", null, undefined, hint("O-1"), 1],
]) {
  test(`a hint ${name} makes ${count} refetches`, async () => {
    const { clock, store, times } = refreshing(entity, { eventTypes }, { hints: true });
    store.apply(told);
    await clock.advance(1000);
    assert.equal(times.length, count);
  });
}

test("where a hint stays out, as while polling, the events count in the end", async () => {
  const { clock, store, times } = refreshing("order", {}, { hints: true });
  store.apply(orderChanged(1, "O-1", {}));
  await clock.advance(2999);
  assert.deepEqual(times, []);
  await clock.advance(1);
  assert.deepEqual(times, [3000]);
});

test("hints of another timing than the page asked for are passed over, and its own counts", async () => {
  const { clock, store, times } = refreshing("order", { debounceMs: 3000, maxWaitMs: 9000 });
  store.apply(orderChanged(1, "O-1", {}));
  await clock.advance(500);
  store.apply(hint("O-1"));
  await clock.advance(10_000);
  assert.deepEqual(times, [3000]);
});

test("an event between a hint and its refetch is covered by that", async () => {
  const { clock, store, times } = refreshing("order", {}, { hints: true });
  store.apply(hint("O-1"));
  await clock.advance(20);
  store.apply(orderChanged(1, "O-1", {}));
  await clock.advance(10_000);
  assert.deepEqual(times, [50]);
});

test("one refetch is in flight, and one follows for all that came meanwhile", async () => {
  const page = refreshing("order", {}, { slow: true });
  const { clock, store, times, finish } = page;
  store.apply(orderChanged(1, "O-1", {}));
  await clock.advance(500);
  for (const position of [2, 3, 4]) {
    store.apply(orderChanged(position, "O-1", {}));
    await clock.advance(1000);
  }
  assert.deepEqual(times, [500]);
  finish[0]();
  await settle();
  assert.deepEqual(times, [500, 3500]);
  finish[1]();
  await clock.advance(10_000);
  assert.equal(times.length, 2);
});

for (const data of [{ reason: "trimmed", jitterMs: 200 }, { reason: "trimmed", jitterMs: 200, state: true }]) {
  test(`a reset is followed by a refetch after its jitter: ${JSON.stringify(data)}`, async () => {
    const { clock, store, times } = refreshing("order", { eventTypes: ["stage_change"] });
    store.apply(control("reset", data));
    await clock.advance(1000);
    assert.deepEqual(times, [100]);
  });
}

test("a refetch that fails is reported, and the next one is made all the same", async () => {
  const page = refreshing("order");
  page.fail = new Error("the list is out of reach");
  page.store.apply(orderChanged(1, "O-1", {}));
  await page.clock.advance(500);
  page.store.apply(orderChanged(2, "O-1", {}));
  await page.clock.advance(500);
  assert.deepEqual(page.times, [500, 1000]);
  assert.deepEqual(page.reports, [page.fail.message, page.fail.message]);
});

test("once stopped nothing follows, neither what was due nor what came during a refetch", async () => {
  const page = refreshing("order", {}, { slow: true });
  page.store.apply(orderChanged(1, "O-1", {}));
  await page.clock.advance(500);
  page.store.apply(orderChanged(2, "O-1", {}));
  await page.clock.advance(500);
  page.store.apply(orderChanged(3, "O-1", {}));
  page.stop();
  page.finish[0]();
  await page.clock.advance(10_000);
  page.store.apply(orderChanged(4, "O-1", {}));
  await page.clock.advance(10_000);
  assert.deepEqual(page.times, [500]);
  assert.equal(page.clock.pending(), 0);
});

test("options are compared by value, whatever the order of their members", () => {
  assert.ok(equalOptions({ eventTypes: ["a", "b"], debounceMs: 5 }, { debounceMs: 5, eventTypes: ["a", "b"] }));
  assert.ok(equalOptions({ eventTypes: undefined }, {}));
  assert.ok(!equalOptions({ eventTypes: ["a", "b"] }, { eventTypes: ["b", "a"] }));
  assert.ok(!equalOptions(["order"], "order"));
  assert.ok(!equalOptions(null, {}));
});
