import assert from "node:assert/strict";
import { test } from "node:test";

import { createClock } from "./support/clock.js";

test("what is due runs in the order of its time, and promises settle before the next", async () => {
  const clock = createClock();
  const seen = [];
  clock.setTimeout(() => seen.push(["late", clock.now()]), 20);
  clock.setTimeout(() => Promise.resolve().then(() => clock.setTimeout(() => seen.push(["then", clock.now()]), 5)), 10);
  await clock.advance(30);
  assert.deepEqual(seen, [["then", 15], ["late", 20]]);
  assert.equal(clock.now(), 30);
});

test("a timer that was cleared does not run", async () => {
  const clock = createClock();
  clock.clearTimeout(clock.setTimeout(() => assert.fail("it ran"), 1));
  await clock.advance(10);
  assert.equal(clock.pending(), 0);
});

test("a machine that slept finds another time, and its timers late", async () => {
  const clock = createClock();
  const wall = clock.wall();
  const seen = [];
  clock.setTimeout(() => seen.push(clock.now()), 10);
  clock.sleep(3_600_000);
  assert.deepEqual(seen, []);
  await clock.advance(0);
  assert.deepEqual(seen, [3_600_000]);
  assert.equal(clock.wall() - wall, 3_600_000);
});
