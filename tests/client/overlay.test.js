import assert from "node:assert/strict";
import test from "node:test";

import { createOverlay } from "../../gateway/static/parts/overlay.js";
import { createStore } from "../../gateway/static/parts/store.js";
import { createClock, settle } from "./support/clock.js";
import { control, cursorAt, heartbeat, orderChanged, wholeState } from "./support/orders.js";

/** A page that knows the orders, at position 10; `changes` counts how often it was told of another view. */
function pageWith(orders = { "O-1": { stage: "billed", version: 3 } }) {
  const clock = createClock();
  const store = createStore({ keepState: true });
  store.apply(wholeState(10, orders));
  const page = { clock, store, changes: 0 };
  page.overlay = createOverlay({ environment: { clock }, store, changed: () => (page.changes += 1) });
  page.order = (id = "O-1") => page.overlay.view("order").get(id);
  return page;
}

test("a change shows at once, is told of in a microtask, and the server's word stays as it is", async () => {
  const page = pageWith();
  page.overlay.add("order:O-1", { stage: "paid" });
  assert.deepEqual(page.order(), { stage: "paid", version: 3 });
  assert.deepEqual(page.store.entities("order").get("O-1"), { stage: "billed", version: 3 });
  await settle();
  assert.equal(page.changes, 1);
});

test("the view is the store's own Map where nothing lies over it, and the same one until something changes", () => {
  const page = pageWith();
  assert.equal(page.overlay.view("order"), page.store.entities("order"));
  const layer = page.overlay.add("order:O-1", { stage: "paid" });
  const view = page.overlay.view("order");
  assert.equal(page.overlay.view("order"), view);
  assert.equal(page.overlay.view("invoice"), page.store.entities("invoice"));
  page.store.apply(orderChanged(11, "O-2", {}));
  assert.notEqual(page.overlay.view("order"), view);
  layer.drop();
  assert.equal(page.overlay.view("order"), page.store.entities("order"));
});

test("changes stack in the order in which they were made, and each goes by itself", () => {
  const page = pageWith();
  const first = page.overlay.add("order:O-1", { stage: "paid", note: "a" });
  page.overlay.add("order:O-1", (order) => ({ ...order, note: `${order.note}b` }));
  assert.deepEqual(page.order(), { stage: "paid", note: "ab", version: 3 });
  first.drop();
  assert.deepEqual(page.order(), { stage: "billed", note: "undefinedb", version: 3 });
});

test("a change may make an entity, and null takes one away", () => {
  const page = pageWith();
  page.overlay.add("order:O-9", { stage: "new" });
  page.overlay.add("order:O-1", null);
  assert.deepEqual([...page.overlay.view("order")], [["O-9", { stage: "new" }]]);
});

test("what others change meanwhile shows beneath", () => {
  const page = pageWith();
  page.overlay.add("order:O-1", { stage: "paid" });
  page.store.apply(orderChanged(11, "O-1", { stage: "billed", version: 4, customer: "c" }));
  assert.deepEqual(page.order(), { stage: "paid", version: 4, customer: "c" });
});

test("an answered change stays until the stream has reached its cursor", () => {
  const page = pageWith();
  page.overlay.add("order:O-1", { stage: "paid" }).answered(cursorAt(12));
  page.store.apply(orderChanged(11, "O-1", { stage: "billed", version: 4 }));
  assert.equal(page.order().stage, "paid");
  page.store.apply(orderChanged(12, "O-1", { stage: "paid", version: 5 }));
  assert.equal(page.overlay.view("order"), page.store.entities("order"));
  assert.equal(page.clock.pending(), 0);
});

test("a heartbeat's cursor counts, where the write made no event for this page", () => {
  const page = pageWith();
  page.overlay.add("order:O-1", { stage: "paid" }).answered(cursorAt(12));
  page.store.apply(heartbeat(13));
  assert.equal(page.order().stage, "billed");
});

test("an answer whose cursor the stream has passed already takes its change away at once", () => {
  const page = pageWith();
  const layer = page.overlay.add("order:O-1", { stage: "paid" });
  page.store.apply(orderChanged(12, "O-1", { stage: "paid", version: 4 }));
  layer.answered(cursorAt(12));
  assert.equal(page.overlay.view("order"), page.store.entities("order"));
});

test("an answered change waits as long as the stream is away, however long", async () => {
  const page = pageWith();
  page.overlay.add("order:O-1", { stage: "paid" }).answered(cursorAt(12));
  await page.clock.advance(3_600_000);
  assert.equal(page.order().stage, "paid");
});

test("of an answer without a cursor the change goes with the next event of its entity", () => {
  const page = pageWith();
  page.overlay.add("order:O-1", { stage: "paid" }).answered();
  page.store.apply(orderChanged(11, "O-2", {}));
  assert.equal(page.order().stage, "paid");
  page.store.apply(orderChanged(12, "O-1", { stage: "sent", version: 4 }));
  assert.equal(page.order().stage, "sent");
  assert.equal(page.clock.pending(), 0);
});

test("of an answer without a cursor the change goes after 10 seconds without an event", async () => {
  const page = pageWith();
  page.overlay.add("order:O-1", { stage: "paid" }).answered();
  await page.clock.advance(9999);
  assert.equal(page.order().stage, "paid");
  await page.clock.advance(1);
  assert.equal(page.order().stage, "billed");
});

test("where the log starts over, a whole state takes answered changes away, and leaves the others", () => {
  const page = pageWith();
  page.overlay.add("order:O-1", { stage: "paid" }).answered(cursorAt(12));
  page.overlay.add("order:O-1", { note: "mine" });
  page.store.apply(control("reset", { reason: "epoch", state: true }));
  page.store.apply(wholeState(1, { "O-1": { stage: "sent", version: 1 } }, "other"));
  assert.deepEqual(page.order(), { stage: "sent", version: 1, note: "mine" });
});

test("where the log starts over without a state, answered changes go after 10 seconds", async () => {
  const page = pageWith();
  page.overlay.add("order:O-1", { stage: "paid" }).answered(cursorAt(12));
  page.store.apply(control("reset", { reason: "epoch" }, cursorAt(1, "other")));
  assert.equal(page.order().stage, "paid");
  await page.clock.advance(10_000);
  assert.equal(page.order(), undefined);
});

test("what one entity's writes wait for is nothing to the others", async () => {
  const page = pageWith({ "O-1": { stage: "billed" }, "O-2": { stage: "billed" } });
  page.overlay.add("order:O-1", { stage: "paid" }).answered(cursorAt(12));
  page.overlay.add("order:O-2", { stage: "paid" }).answered(cursorAt(14));
  page.store.apply(heartbeat(12));
  assert.deepEqual([page.order("O-1").stage, page.order("O-2").stage], ["billed", "paid"]);
});

/** A change of O-1, made on a base; what onConflict was told of. */
function conflicting(page, member, base, change = { stage: "paid" }) {
  const told = [];
  const onConflict = (server, mine) => told.push({ server, mine });
  const layer = page.overlay.add("order:O-1", change, { conflict: member, base, onConflict });
  return { told, layer };
}

test("where the server's version moves on before the answer, the change goes and onConflict gets both", () => {
  const page = pageWith();
  const { told } = conflicting(page, "version");
  page.store.apply(orderChanged(11, "O-1", { stage: "cancelled", version: 4 }));
  assert.deepEqual(told, [
    { server: { stage: "cancelled", version: 4 }, mine: { stage: "paid", version: 3 } },
  ]);
  assert.equal(page.order().stage, "cancelled");
});

test("where it has moved on since the base was read, the change never shows", () => {
  const page = pageWith();
  const { told, layer } = conflicting(page, "version", { stage: "billed", version: 2, note: "old" });
  assert.deepEqual(told, [
    { server: { stage: "billed", version: 3 }, mine: { stage: "paid", version: 2, note: "old" } },
  ]);
  assert.ok(layer.isGone());
});

test("what the write itself made of the entity is no conflict, also where it comes before the answer", () => {
  const page = pageWith();
  const { told, layer } = conflicting(page, "version");
  page.store.apply(orderChanged(11, "O-1", { stage: "paid", version: 4 }));
  assert.deepEqual(told, []);
  layer.answered(cursorAt(11));
  assert.ok(layer.isGone());
});

test("once the server has taken the write there is no conflict any more", () => {
  const page = pageWith();
  const { told, layer } = conflicting(page, "version");
  layer.answered(cursorAt(12));
  page.store.apply(orderChanged(11, "O-1", { stage: "cancelled", version: 4 }));
  assert.deepEqual(told, []);
  assert.equal(page.order().stage, "paid");
});

test("a state that is whole is judged like an event", () => {
  const page = pageWith();
  const { told } = conflicting(page, "version");
  page.store.apply(control("reset", { reason: "trimmed", state: true }));
  page.store.apply(wholeState(20, { "O-1": { stage: "sent", version: 5 } }));
  assert.equal(told.length, 1);
});

for (const [name, base, now, conflict] of [
  ["a number that grew", 3, 4, true],
  ["a number that this page's stream has yet to reach", 5, 4, false],
  ["the same number", 4, 4, false],
  ["digits, which are no text", "9", "10", true],
  ["digits that went back", "10", "9", false],
  ["digits beyond what a number holds", "90071992547409921", "90071992547409922", true],
  ["a later time", "2026-11-20T10:30:00Z", "2026-11-20T10:30:01Z", true],
  ["an earlier time in another offset", "2026-11-20T10:30:00Z", "2026-11-20T11:30:00+02:00", false],
  ["microseconds", "2026-11-20T10:30:00.123456Z", "2026-11-20T10:30:00.123457Z", true],
  ["another text without an order", "v2", "v1", true],
  ["the same text", "v1", "v1", false],
  ["a version that the base did not have", undefined, 4, false],
  ["a version that the server has no more", 4, undefined, false],
]) {
  test(`the server has moved on, by ${name}: ${conflict}`, () => {
    const page = pageWith({ "O-1": { stage: "billed", version: now } });
    assert.equal(conflicting(page, "version", { version: base }).told.length, conflict ? 1 : 0);
  });
}

test("a change that fails on a later state shows that state, is reported, and the others show", async (t) => {
  const reports = [];
  t.mock.method(console, "error", (error) => reports.push(error.constructor));
  const page = pageWith();
  page.overlay.add("order:O-1", (order) => ({ ...order, stages: order.stage.split("") }));
  page.overlay.add("order:O-2", { stage: "new" });
  page.store.apply(control("reset", { reason: "trimmed" }, cursorAt(20)));
  assert.deepEqual([page.order(), page.order("O-2")], [undefined, { stage: "new" }]);
  assert.deepEqual(reports, [TypeError]);
});

test("a change that fails at once is the page's own error, and leaves nothing", () => {
  const page = pageWith();
  assert.throws(() => page.overlay.add("order:O-1", (order) => order.stages.length), TypeError);
  assert.equal(page.overlay.view("order"), page.store.entities("order"));
});

test("a change needs one entity, named by type and id", () => {
  const page = pageWith();
  for (const entity of ["order", "order:", ":O-1", undefined, ""]) {
    assert.throws(() => page.overlay.add(entity, {}), TypeError, String(entity));
  }
  page.overlay.add("order:a:b", { stage: "paid" });
  assert.deepEqual(page.order("a:b"), { stage: "paid" });
});

test("a change that is gone is answered or dropped again without effect", async () => {
  const page = pageWith();
  const layer = page.overlay.add("order:O-1", { stage: "paid" });
  layer.drop();
  layer.answered();
  assert.equal(page.clock.pending(), 0);
  layer.drop();
  await settle();
  assert.equal(page.changes, 1);
});
