import assert from "node:assert/strict";
import { test } from "node:test";
import { createHandlers, createStore } from "../../gateway/static/parts/store.js";

const cursor = (n) => `e.${n}-0`;
const event = (n, members = {}) => {
  const data = { id: cursor(n), eventType: "u", entityType: "order", entityId: "1", action: "update", data: { n }, ...members };
  return { type: data.eventType, id: data.id, data, control: false };
};
const control = (type, n, data = {}, lane) => ({ type, id: n === null ? undefined : cursor(n), data, control: true, ...(lane === undefined ? {} : { lane }) });
const poll = (n, lane) => ({ type: "poll", id: cursor(n), control: true, ...(lane === undefined ? {} : { lane }) });
const part = (number, items, { last = false, n = 0, type = "order", lane } = {}) =>
  control("state", last ? n : null, { entityType: type, items: items.map(([entityId, data]) => ({ entityId, data })), part: number, last, cursor: cursor(n) }, lane);

/** Runs `work` while errors that handlers throw are collected, and gives them. */
function reported(work) {
  const errors = [];
  const usual = globalThis.reportError;
  globalThis.reportError = (error) => errors.push(error.message);
  try {
    work();
  } finally {
    globalThis.reportError = usual;
  }
  return errors;
}

test("a lane that moved last and is one with everything else again leaves the cursor that both have", () => {
  const store = createStore();
  store.apply({ type: "connected", id: "e1.1-0", data: {}, control: true });
  store.setLanes({ orders: ["order"] });
  store.apply({ type: "poll", id: "e1.2-0", data: {}, control: true, lane: "orders" });
  store.setLanes({});
  assert.equal(store.cursor, "e1.2-0");
});

test("an event goes through once, and only after the cursor", () => {
  const store = createStore();
  const got = [];
  store.on("u", (data, id) => got.push(id));
  assert.equal(store.cursor, null);
  assert.deepEqual([5, 5, 4, 6].map((n) => store.apply(event(n))), [true, false, false, true]);
  assert.deepEqual(got, [cursor(5), cursor(6)]);
  assert.equal(store.cursor, cursor(6));
  assert.equal(store.counters.duplicatesDropped, 2);
  assert.equal(store.counters.totalEvents, 2);
});

test("what of the stream has an id moves the cursor, but never back", () => {
  const store = createStore();
  store.apply(control("connected", 3));
  store.apply(control("heartbeat", 7));
  store.apply(control("refresh", 6));
  store.apply(control("bye", null));
  assert.equal(store.cursor, cursor(7));
  assert.equal(store.apply(event(7)), false);
});

test("a connected that could not go on moves nothing: the reset after it does", () => {
  const store = createStore();
  store.apply(event(5));
  store.apply(control("connected", 9, { recovered: false }));
  assert.equal(store.cursor, cursor(5));
  store.apply(control("reset", 8, { reason: "trimmed" }));
  assert.equal(store.cursor, cursor(8));
});

test("a reset takes the cursor back where the log has started over", () => {
  const store = createStore();
  store.apply(event(50));
  store.apply({ ...control("reset", null, { reason: "epoch" }), id: "f.1-0" });
  assert.equal(store.cursor, "f.1-0");
  assert.equal(store.apply({ ...event(2), id: "f.2-0" }), true);
});

test("handlers get what the contract says: an event with its id, a control event's data, and all by *", () => {
  const store = createStore();
  const calls = [];
  store.on("u", (...args) => calls.push(["u", ...args]));
  store.on("heartbeat", (...args) => calls.push(["heartbeat", ...args]));
  store.on("*", (...args) => calls.push(["*", ...args]));
  const { data, id } = event(1);
  store.apply(event(1));
  store.apply(control("heartbeat", 2, { timestamp: "t" }));
  store.apply(poll(3));
  assert.deepEqual(calls, [
    ["u", data, id],
    ["*", data, "u", id],
    ["heartbeat", { timestamp: "t" }, cursor(2)],
    ["*", { timestamp: "t" }, "heartbeat", cursor(2)],
  ]);
});

test("a frame without a name is a message", () => {
  const store = createStore();
  let got = null;
  store.on("message", (data) => (got = data));
  store.apply({ type: "message", data: { hello: 1 }, control: false });
  assert.deepEqual(got, { hello: 1 });
  assert.equal(store.cursor, null, "it had no id");
});

test("data that is no JSON object is counted and goes to nobody, and is not asked for again", () => {
  const store = createStore();
  store.on("*", () => assert.fail("nobody is told"));
  store.applied(() => assert.fail("nobody is told"));
  [null, undefined, [1], 7, "text"].forEach((data, n) => {
    assert.equal(store.apply({ type: "u", id: cursor(n + 1), data, control: false }), false);
  });
  assert.equal(store.apply({ type: "heartbeat", id: cursor(9), data: null, control: true }), false);
  assert.equal(store.counters.malformed, 6);
  assert.equal(store.counters.totalEvents, 0);
  assert.equal(store.cursor, cursor(5));
});

test("a handler that throws is told of, and the others run", () => {
  const store = createStore();
  const got = [];
  store.on("u", () => {
    throw new Error("mine");
  });
  store.on("u", () => got.push(1));
  assert.deepEqual(reported(() => store.apply(event(1))), ["mine"]);
  assert.deepEqual(got, [1]);
  assert.deepEqual(store.entities("order").get("1"), { n: 1 });
});

test("a handler that is removed meanwhile is not called, nor is one that comes meanwhile", () => {
  const { on, emit } = createHandlers();
  const got = [];
  on("x", () => {
    off();
    on("x", () => got.push("new"));
  });
  const off = on("x", () => got.push("removed"));
  on("x", () => got.push("last"));
  emit("x");
  assert.deepEqual(got, ["last"]);
  emit("x");
  assert.deepEqual(got, ["last", "last", "new"]);
});

test("one function may be set twice, and each is removed by itself", () => {
  const { on, emit } = createHandlers();
  let count = 0;
  const fn = () => (count += 1);
  const off = on("x", fn);
  on("x", fn);
  off();
  off();
  emit("x");
  assert.equal(count, 1);
});

test("subscribers get what they asked for", () => {
  const store = createStore();
  const got = [];
  const off = store.subscribe({ entities: ["order:1"], filter: "n=gt.1" }, (data, id) => got.push([data.action, id]));
  store.apply(event(1));
  store.apply(event(2));
  store.apply(event(3, { entityId: "2" }));
  store.apply(event(4, { data: { n: 0 }, previous: { n: 2 } }));
  off();
  store.apply(event(5));
  assert.deepEqual(got, [["update", cursor(2)], ["leave", cursor(4)]]);
});

test("entities are what events made of them", () => {
  const store = createStore();
  store.apply(event(1, { action: "insert", data: { a: 1, b: 1 } }));
  store.apply(event(2, { data: { a: 2 } }));
  assert.deepEqual(store.entities("order").get("1"), { a: 2 }, "data is the new state");
  store.apply(event(3, { action: "signal", data: { hello: 1 } }));
  assert.deepEqual(store.entities("order").get("1"), { a: 2 }, "a signal is no state");
  store.apply(event(4, { entityId: "2", action: "insert" }));
  store.apply(event(5, { action: "delete" }));
  store.apply(event(6, { entityId: "2", action: "leave", data: undefined }));
  assert.equal(store.entities("order").size, 0);
  store.apply(event(7, { entityType: undefined, entityId: undefined, action: "signal" }));
  assert.equal(store.entities("undefined").size, 0);
});

test("a view of entities is the same until it changes, also of a type that nobody has heard of", () => {
  const store = createStore();
  const none = store.entities("job");
  assert.equal(store.entities("job"), none);
  store.apply(event(1));
  const orders = store.entities("order");
  assert.equal(store.entities("job"), none);
  store.apply(control("heartbeat", 2));
  assert.equal(store.entities("order"), orders);
  store.apply(event(3));
  assert.notEqual(store.entities("order"), orders);
  assert.deepEqual(orders.get("1"), { n: 1 }, "what a reader has does not change under it");
});

test("without state no more of a type is kept than some, the oldest going first", () => {
  const some = createStore();
  const all = createStore({ keepState: true });
  for (let n = 1; n <= 10_001; n += 1) {
    some.apply(event(n, { entityId: String(n) }));
    all.apply(event(n, { entityId: String(n) }));
  }
  assert.equal(some.entities("order").size, 10_000);
  assert.ok(!some.entities("order").has("1"));
  assert.equal(all.entities("order").size, 10_001);
});

test("a state replaces the old one at once when its last part has come", () => {
  const store = createStore({ keepState: true });
  store.apply(event(1, { entityId: "old" }));
  store.apply(event(2, { entityType: "gone", entityId: "1" }));
  store.apply(control("reset", null, { reason: "trimmed", state: true }));
  assert.equal(store.cursor, null, "whoever is cut off now begins anew");
  assert.equal(store.complete, false);
  store.apply(part(1, [["a", { x: 1 }]]));
  store.apply(part(2, [["b", { x: 2 }]]));
  assert.deepEqual([...store.entities("order").keys()], ["old"], "half a state is never seen");
  const seen = [];
  store.on("state", () => seen.push([...store.entities("order").keys()]));
  store.apply(part(3, [["j", {}]], { type: "job", last: true, n: 9 }));
  assert.deepEqual(seen, [["a", "b"]], "handlers of the last part see all of it");
  assert.deepEqual([...store.entities("job").keys()], ["j"]);
  assert.equal(store.entities("gone").size, 0);
  assert.equal(store.cursor, cursor(9));
  assert.equal(store.complete, true);
});

test("a state that begins anew forgets the parts from before", () => {
  const store = createStore({ keepState: true });
  store.apply(part(1, [["a", {}]]));
  store.apply(control("reset", null, { reason: "unknown", state: true }));
  assert.equal(store.apply(part(2, [["b", {}]], { last: true, n: 3 })), false, "its beginning is lost");
  assert.equal(store.counters.malformed, 1);
  store.apply(part(1, [["c", {}]], { last: true, n: 4 }));
  assert.deepEqual([...store.entities("order").keys()], ["c"]);
});

test("an empty state is a state", () => {
  const store = createStore({ keepState: true });
  store.apply(event(1));
  store.apply(control("reset", null, { reason: "trimmed", state: true }));
  store.apply(part(1, [], { last: true, n: 2 }));
  assert.equal(store.entities("order").size, 0);
  assert.equal(store.complete, true);
});

test("a state without an id shows what it holds, and moves nothing", () => {
  const store = createStore({ keepState: true });
  store.apply(event(5, { data: { lie: true } }));
  const { id, ...message } = part(1, [["1", { n: 5 }]], { last: true, n: 3 });
  let told = 0;
  store.on("state", () => (told += 1));
  store.apply(message);
  assert.deepEqual(store.entities("order").get("1"), { n: 5 });
  assert.equal(store.cursor, cursor(5));
  assert.equal(store.complete, true);
  assert.equal(told, 1);
  assert.equal(store.apply(event(5)), false);
});

test("a reset drops what there was, at once where no state follows or the caller may see less", () => {
  for (const data of [{ reason: "trimmed" }, { reason: "trimmed", state: false }, { reason: "scope", state: true }]) {
    const store = createStore({ keepState: true });
    store.apply(event(1));
    store.apply(control("reset", data.state ? null : 5, data));
    assert.equal(store.entities("order").size, 0, JSON.stringify(data));
  }
});

test("a component that polls beside the stream has a cursor of its own", () => {
  const store = createStore();
  store.apply(event(5));
  const map = { orders: ["order"] };
  store.setLanes(map);
  assert.equal(store.lanes, map);
  store.apply(control("heartbeat", 9));
  assert.deepEqual(store.cursors, { "": cursor(9), orders: cursor(5) });
  assert.equal(store.cursor, cursor(5), "whoever resumes everything begins at the oldest");
  assert.equal(store.apply(event(6)), true, "it is before the stream's, and after its own");
  assert.equal(store.apply(event(8, { entityType: "job" })), false);
  store.apply(poll(12, "orders"));
  assert.deepEqual(store.cursors, { "": cursor(9), orders: cursor(12) });
  store.apply(poll(11));
  assert.deepEqual(store.cursors, { "": cursor(11), orders: cursor(12) }, "a poll of everything moves all, forward");
});

test("a lane that is merged takes what is one with it to the later of the two", () => {
  const store = createStore();
  store.apply(event(5));
  store.setLanes({ orders: ["order"] });
  store.apply(poll(7, "orders"));
  store.setLanes({});
  assert.deepEqual(store.cursors, { "": cursor(7) });
  assert.equal(store.apply(event(7)), false);
});

test("a reset or a state of one lane leaves the others alone", () => {
  const store = createStore({ keepState: true });
  store.apply(event(1));
  store.apply(event(2, { entityType: "job" }));
  store.setLanes({ orders: ["order"] });
  store.apply(control("reset", null, { reason: "trimmed", state: true }, "orders"));
  assert.deepEqual(store.cursors, { "": cursor(2), orders: null });
  assert.equal(store.cursor, null);
  store.apply(part(1, [["new", {}]], { last: true, n: 8, lane: "orders" }));
  assert.deepEqual(store.cursors, { "": cursor(2), orders: cursor(8) });
  assert.deepEqual([...store.entities("order").keys()], ["new"]);
  assert.equal(store.entities("job").size, 1);
  store.apply(control("reset", 9, { reason: "trimmed" }, ""));
  assert.deepEqual(store.cursors, { "": cursor(9), orders: cursor(8) });
  assert.equal(store.entities("job").size, 0);
  assert.equal(store.entities("order").size, 1);
});

test("of two histories the one that a lane is still in is resumed from", () => {
  const store = createStore();
  store.apply(event(5));
  store.setLanes({ orders: ["order"] });
  store.apply({ ...control("reset", null, { reason: "epoch" }, ""), id: "f.1-0" });
  assert.equal(store.cursor, cursor(5), "its reset is still to come");
  store.apply({ ...control("reset", null, { reason: "epoch" }, "orders"), id: "f.1-0" });
  assert.equal(store.cursor, "f.1-0");
});

test("the last events are kept, the newest last, in one array until there are others", () => {
  const store = createStore({ historyLimit: 3 });
  assert.deepEqual(store.events, []);
  for (let n = 1; n <= 400; n += 1) store.apply(event(n));
  assert.deepEqual(store.events.map(({ data }) => data.n), [398, 399, 400]);
  assert.equal(store.events, store.events);
  const none = createStore({ historyLimit: 0 });
  for (let n = 1; n <= 400; n += 1) none.apply(event(n));
  assert.deepEqual(none.events, []);
});

test("a state is complete when that of every lane is there", () => {
  const store = createStore({ keepState: true });
  store.setLanes({ orders: ["order"] });
  store.apply(part(1, [["a", {}]], { last: true, n: 3, lane: "orders" }));
  assert.equal(store.complete, false, "the stream's has yet to come");
  store.apply(part(1, [["j", {}]], { type: "job", last: true, n: 4, lane: "" }));
  assert.equal(store.complete, true);
  const jobs = store.entities("job");
  store.apply(control("reset", 5, { reason: "trimmed" }, "orders"));
  assert.equal(store.complete, false);
  store.setLanes({});
  assert.equal(store.complete, false, "what it lacks is lacking still");
  assert.equal(store.entities("job"), jobs, "which had no part in it");
  store.apply(part(1, [["a", {}]], { last: true, n: 6 }));
  assert.equal(store.complete, true);
});

test("whoever hangs on the store gets each message that was let through, as it came", () => {
  const store = createStore();
  const got = [];
  store.applied((message) => got.push(message.type));
  store.apply(event(1));
  store.apply(event(1));
  store.apply(poll(2));
  store.apply(control("bye", null));
  assert.deepEqual(got, ["u", "poll", "bye"]);
});

test("what is dumped, as JSON, is what a store goes on from", () => {
  const store = createStore({ keepState: true });
  store.apply(part(1, [["a", { x: 1 }]], { last: true, n: 4, type: "__proto__" }));
  store.setLanes({ orders: ["order"] });
  store.apply(event(6));
  const next = createStore({ keepState: true });
  next.restore(JSON.parse(JSON.stringify(store.dump())));
  assert.deepEqual(next.cursors, { "": cursor(4), orders: cursor(6) });
  assert.deepEqual(next.lanes, { orders: ["order"] });
  assert.equal(next.complete, true);
  assert.deepEqual(next.entities("__proto__").get("a"), { x: 1 });
  assert.deepEqual(next.entities("order").get("1"), { n: 6 });
  assert.equal(next.apply(event(6)), false);
  assert.equal(next.apply(event(5, { entityType: "job" })), true);
});

test("a store that had lanes goes on from a dump that has none, and from nothing", () => {
  const store = createStore();
  const kept = { ...createStore().dump(), cursors: { "": cursor(4) } };
  store.setLanes({ orders: ["order"] });
  store.apply(event(6));
  store.restore(kept);
  assert.equal(store.cursor, cursor(4));
  assert.deepEqual(store.events, []);
  store.apply(event(7));
  store.restore();
  assert.equal(store.cursor, null);
  assert.equal(store.entities("order").size, 0);
  assert.deepEqual(store.lanes, {});
});

test("without state a dump has the cursors alone", () => {
  const store = createStore();
  store.apply(event(1));
  assert.deepEqual(store.dump(), { cursors: { "": cursor(1) }, lanes: {}, complete: false, entities: {} });
});

test("event types are counted whatever they are called", () => {
  const store = createStore();
  store.apply(event(1, { eventType: "__proto__" }));
  store.apply(event(2, { eventType: "__proto__" }));
  assert.deepEqual([...store.counters.eventCounts], [["__proto__", 2]]);
});
