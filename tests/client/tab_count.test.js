import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { countTabs } from "../../gateway/static/parts/tab_count.js";
import { createSync } from "../../gateway/static/tidegate.js";
import { createGateway } from "./support/gateway.js";
import "./support/loaded.js";
import { createBrowser } from "./support/tabs.js";

/** How often `count` tabs warned, of which `closed` were closed before the last one. */
async function warnings(count, { origin = "http://10.0.0.7:8080", closed = 0, channels = true } = {}) {
  const warn = mock.method(console, "warn", () => {});
  try {
    const browser = createBrowser();
    const ends = [];
    for (let i = 0; i < count; i += 1) {
      if (i === count - 1) {
        ends.slice(0, closed).forEach((end) => end());
      }
      const { environment } = browser.open();
      ends.push(countTabs(channels ? environment : { ...environment, openChannel: null }, origin));
      await browser.settle();
    }
    ends.forEach((end) => end());
    assert.equal(browser.channels(), 0);
    return warn.mock.callCount();
  } finally {
    warn.mock.restore();
  }
}

test("the fifth tab says once that there are too many", async () => {
  assert.equal(await warnings(4), 0);
  assert.equal(await warnings(5), 1);
});

test("each tab beyond the fourth says it once, whatever their number", async () => {
  assert.equal(await warnings(8), 4);
});

test("tabs that are closed do not count", async () => {
  assert.equal(await warnings(6, { closed: 2 }), 1);
  assert.equal(await warnings(5, { closed: 1 }), 0);
});

test("by HTTPS, and where tabs can't hear one another, nothing is said", async () => {
  assert.equal(await warnings(8, { origin: "https://shop.example" }), 0);
  assert.equal(await warnings(8, { channels: false }), 0);
});

test("tabs without Web Locks have a stream each, and the fifth says that it is one too many", async () => {
  const warn = mock.method(console, "warn", () => {});
  try {
    const browser = createBrowser();
    const gateway = createGateway({ clock: browser.clock });
    const syncs = [];
    for (let i = 0; i < 5; i += 1) {
      const { options } = browser.open();
      syncs.push(createSync({ ...options, baseUrl: "http://gateway.test", locks: null, fetch: gateway.fetch, telemetry: false }));
      await browser.settle();
    }
    assert.equal(gateway.streams.length, 5);
    assert.equal(warn.mock.callCount(), 1);
    syncs.forEach((sync) => sync.close());
    await browser.settle();
    assert.equal(browser.channels(), 0);
  } finally {
    warn.mock.restore();
  }
});
