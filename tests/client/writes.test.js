import assert from "node:assert/strict";
import { test } from "node:test";

import { createWorld } from "./support/synced.js";
import { outcome } from "./support/writing.js";

const ORDERS = { entities: ["order"] };
const paid = { path: "/api/v1/orders/O-1", body: {}, entity: "order:O-1", optimistic: { stage: "paid" } };
const stage = (sync) => sync.entities("order").get("O-1")?.stage;

test("once it is connected, what is written shows before the call is over, and is told of", async () => {
  const { opened, gateway, settle } = createWorld();
  const sync = await opened(ORDERS);
  let told = 0;
  sync.onChange(() => (told += 1));
  gateway.network = "down";
  sync.enqueue(paid).catch(() => {});
  assert.equal(stage(sync), "paid");
  sync.optimistic("order:O-1", { stage: "sent" }, { write: () => new Promise(() => {}) });
  assert.equal(stage(sync), "sent");
  await settle();
  assert.ok(told > 0);
  sync.close();
});

test("what is written before it is connected shows once the part for it is there, and is sent", async () => {
  const { open, gateway, settle } = createWorld();
  gateway.answer("/api/v1/orders/O-1", 200, { fine: true }, { "Sync-Cursor": "e1.0-0" });
  const sync = open(ORDERS);
  const sent = sync.enqueue(paid);
  await settle();
  const { value } = await outcome(sent);
  assert.deepEqual(value, { ok: true, status: 200, cursor: "e1.0-0", body: { fine: true } });
  const [request] = gateway.asked("/api/v1/orders/O-1");
  assert.equal(request.url, "http://gateway.test/api/v1/orders/O-1");
  sync.close();
});

test("what an earlier visit left shows again, and goes out, once the next is connected", async () => {
  const { opened, gateway, keys, clock } = createWorld();
  gateway.answerAlways("/api/v1/orders/O-1", 503);
  const first = await opened(ORDERS);
  const lost = first.enqueue(paid);
  lost.catch(() => {});
  await clock.advance(0);
  first.close();
  assert.match((await outcome(lost)).error.message, /closed/);
  const next = await opened(ORDERS);
  assert.equal(stage(next), "paid");
  gateway.answerAlways("/api/v1/orders/O-1", null);
  gateway.answer("/api/v1/orders/O-1", 422, { detail: "too late" });
  const told = [];
  next.on("outbox", ({ request, status, problem }) => told.push([request.path, status, problem.detail]));
  await clock.advance(60_000);
  assert.deepEqual(told, [["/api/v1/orders/O-1", 422, "too late"]]);
  assert.equal(stage(next), undefined);
  assert.deepEqual(keys().filter((key) => key.startsWith("tidegate:outbox:")), []);
  next.close();
});

test("signing out leaves nothing of what was written, and its promise says so", async () => {
  const { opened, gateway, keys, clock } = createWorld();
  gateway.answerAlways("/api/v1/orders/O-1", 503);
  const sync = await opened(ORDERS);
  const dropped = sync.enqueue(paid);
  dropped.catch(() => {});
  await clock.advance(0);
  sync.signOut();
  await clock.advance(0);
  assert.match((await outcome(dropped)).error.message, /Signed out/);
  assert.equal(stage(sync), undefined);
  assert.deepEqual(keys().filter((key) => key.startsWith("tidegate:outbox:")), []);
});
