import assert from "node:assert/strict";
import { test } from "node:test";

import { createRetry } from "../../gateway/static/parts/retry.js";

const retryOf = (draw, reconnectDelay = 1000) => createRetry({ reconnectDelay, random: () => draw });
const delays = (retry, count, floorMs) => Array.from({ length: count }, () => retry.delay(floorMs));

test("the first comes within 500 ms, and the others within twice as much each time, up to 30 s", () => {
  assert.deepEqual(delays(retryOf(1), 8), [500, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  assert.deepEqual(delays(retryOf(0), 3), [0, 0, 0]);
  assert.deepEqual(delays(retryOf(1, 10), 3), [500, 20, 40]);
});

test("a floor holds, and is spread, since others may have been given the same", () => {
  assert.deepEqual(delays(retryOf(0), 2, 7000), [7000, 7000]);
  assert.deepEqual(delays(retryOf(1), 5, 7000), [7500, 7500, 7500, 8000, 16_000]);
});

test("sixty seconds of health make the next one a first one", () => {
  const retry = retryOf(1);
  delays(retry, 3);
  retry.worked(59_999);
  assert.equal(retry.delay(), 8000);
  retry.worked(1);
  assert.equal(retry.failures, 0);
  assert.equal(retry.delay(), 500);
  retry.worked(59_999);
  assert.equal(retry.delay(), 2000);
});
