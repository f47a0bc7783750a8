import assert from "node:assert/strict";
import { test } from "node:test";

import { createPersistence } from "../../gateway/static/parts/persistence.js";
import { createStore } from "../../gateway/static/parts/store.js";
import { createSync } from "../../gateway/static/tidegate.js";
import { createGateway } from "./support/gateway.js";
import "./support/loaded.js";
import { createBrowser } from "./support/tabs.js";

const KEY = "tidegate:sync:u-1:/orders";
const CURSOR = "e1.7-0";

/** One more tab of `browser`, with its store at `CURSOR` and what it keeps. */
function openTab(browser, { key = KEY, keepState = true, at = CURSOR } = {}) {
  const tab = browser.open();
  const store = createStore({ keepState });
  const heard = [];
  const persistence = createPersistence({
    environment: tab.environment,
    key,
    store,
    forgotten(at) {
      heard.push("forgotten");
      persistence.forget(at);
    },
  });
  store.applied(() => persistence.saveSoon());
  const move = (id) => store.apply({ type: "poll", id, control: true });
  if (at) {
    const items = [{ entityId: "O-1", data: { total: 7 } }];
    store.apply({ type: "state", id: at, data: { entityType: "order", items, part: 1, last: true, cursor: at }, control: true });
  }
  return Object.assign(tab, { store, persistence, heard, move });
}

const kept = (browser, key = KEY) => JSON.parse(browser.storage.getItem(key));

test("what was saved is there after the next load, with what it describes", async () => {
  const browser = createBrowser();
  openTab(browser).persistence.save();
  const next = openTab(browser, { at: null });
  next.persistence.load();
  assert.equal(next.store.cursor, CURSOR);
  assert.equal(next.store.complete, true);
  assert.deepEqual(new Map(next.store.entities("order")), new Map([["O-1", { total: 7 }]]));
});

test("without state the cursor is kept alone", async () => {
  const browser = createBrowser();
  openTab(browser, { keepState: false }).persistence.save();
  assert.deepEqual(kept(browser).entities, {});
  assert.deepEqual(kept(browser).cursors, { "": CURSOR });
});

test("it is saved once a second at most", async () => {
  const browser = createBrowser();
  const tab = openTab(browser);
  await browser.advance(999);
  assert.equal(kept(browser), null);
  await browser.advance(1);
  assert.equal(kept(browser).cursors[""], CURSOR);
  tab.move("e1.8-0");
  tab.move("e1.9-0");
  assert.equal(kept(browser).cursors[""], CURSOR);
  await browser.advance(1_000);
  assert.equal(kept(browser).cursors[""], "e1.9-0");
  assert.equal(browser.clock.pending(), 0);
});

for (const [type, hidden] of [
  ["pagehide", false],
  ["freeze", false],
  ["visibilitychange", true],
]) {
  test(`it is saved at once on ${type}`, async () => {
    const browser = createBrowser();
    const tab = openTab(browser);
    tab.hidden = hidden;
    tab.page.fire(type);
    assert.equal(kept(browser).cursors[""], CURSOR);
  });
}

test("a page that comes to sight saves nothing", async () => {
  const browser = createBrowser();
  openTab(browser).page.fire("visibilitychange");
  assert.equal(kept(browser), null);
});

test("while a reset's state is still to come, what was saved before stays", async () => {
  const browser = createBrowser();
  const tab = openTab(browser);
  tab.persistence.save();
  tab.store.apply({ type: "reset", data: { reason: "trimmed", state: true, cursor: "e1.9-0" }, control: true });
  tab.persistence.save();
  assert.equal(kept(browser).cursors[""], CURSOR);
  assert.deepEqual(kept(browser).entities.order, [["O-1", { total: 7 }]]);
});

test("over 1 MB nothing is kept, not even what was before", async () => {
  const browser = createBrowser();
  const tab = openTab(browser);
  tab.persistence.save();
  const data = { entityType: "order", entityId: "O-2", action: "update", data: { text: "x".repeat(1 << 20) } };
  tab.store.apply({ type: "order_updated", id: "e1.8-0", data, control: false });
  tab.persistence.save();
  assert.equal(kept(browser), null);
});

for (const [what, text] of Object.entries({
  "text that is no JSON": "{",
  null: "null",
  "a number": "7",
  "a foreign version": JSON.stringify({ v: 2, savedAt: Date.UTC(2026, 10, 20, 10, 30), cursors: {}, lanes: {}, entities: {} }),
  "cursors that are none": JSON.stringify({ v: 1, savedAt: Date.UTC(2026, 10, 20, 10, 30), cursors: { "": {} }, lanes: {}, entities: {} }),
  "lanes that are none": JSON.stringify({ v: 1, savedAt: Date.UTC(2026, 10, 20, 10, 30), cursors: { "": CURSOR }, lanes: { a: 7 }, entities: {} }),
  "entities that are none": JSON.stringify({ v: 1, savedAt: Date.UTC(2026, 10, 20, 10, 30), cursors: { "": CURSOR }, lanes: {}, entities: { order: 7 } }),
})) {
  test(`${what} in storage is as nothing`, async () => {
    const browser = createBrowser();
    browser.storage.setItem(KEY, text);
    const tab = openTab(browser, { at: null });
    tab.persistence.load();
    assert.equal(tab.store.cursor, null);
    assert.deepEqual(tab.store.cursors, { "": null });
    assert.deepEqual(tab.store.lanes, {});
  });
}

test("what is older than a day, or of a time to come, begins anew", async () => {
  for (const days of [-1.01, 1.01]) {
    const browser = createBrowser();
    openTab(browser).persistence.save();
    browser.clock.sleep(days * 86_400_000);
    const tab = openTab(browser, { at: null });
    tab.persistence.load();
    assert.equal(tab.store.cursor, null);
  }
});

test("storage that is full, forbidden or absent does no harm", async () => {
  for (const fault of ["full", "forbidden", "absent"]) {
    const browser = createBrowser({ fault });
    const tab = openTab(browser);
    tab.persistence.save();
    const next = openTab(browser, { at: null });
    next.persistence.load();
    assert.equal(next.store.cursor, null);
    tab.persistence.forget();
    tab.persistence.stop();
  }
});

test("signing out forgets all selections of that user in all tabs, and nothing of another's", async () => {
  const browser = createBrowser();
  const other = "tidegate:sync:u-12:/orders";
  const tabs = [KEY, `${KEY}?more`, other].map((key) => openTab(browser, { key }));
  tabs.forEach((tab) => tab.persistence.save());
  tabs[0].persistence.forget();
  await browser.settle();
  tabs[1].move("e1.9-0");
  tabs[2].move("e1.9-0");
  await browser.advance(2_000);
  tabs.forEach((tab) => tab.page.fire("pagehide"));
  assert.equal(kept(browser), null);
  assert.equal(kept(browser, `${KEY}?more`), null);
  assert.equal(kept(browser, other).cursors[""], "e1.9-0");
  assert.deepEqual(
    tabs.map((tab) => tab.heard),
    [[], ["forgotten"], []],
  );
});

test("signing out ends all tabs and erases what earlier visits kept, also where this one keeps nothing", async () => {
  const browser = createBrowser();
  const gateway = createGateway({ clock: browser.clock });
  const open = (members) =>
    createSync({ ...browser.open().options, fetch: gateway.fetch, baseUrl: "http://gateway.test", userId: "u-1", telemetry: false, ...members });
  const earlier = open({});
  await browser.advance(1_500);
  earlier.close();
  const ofUser = () => browser.keys().filter((key) => key.includes("u-1"));
  assert.equal(ofUser().length, 1);
  const tabs = [1, 2, 3].map(() => open({ enablePersistence: false }));
  await browser.advance(1_500);
  tabs[1].signOut();
  await browser.advance(1_500);
  assert.deepEqual(tabs.map((tab) => tab.state), ["disconnected", "disconnected", "disconnected"]);
  assert.deepEqual(ofUser(), []);
  assert.equal(gateway.streams.length, 0);
});

test("word of a signing out from before a tab was there does not concern it", async () => {
  const browser = createBrowser();
  const first = openTab(browser);
  const frozen = openTab(browser);
  frozen.freeze();
  first.persistence.forget();
  await browser.advance(1_000);
  const next = openTab(browser, { at: "e1.9-0" });
  next.persistence.save();
  frozen.thaw();
  await browser.settle();
  assert.deepEqual([frozen.heard, next.heard], [["forgotten"], []]);
  assert.equal(kept(browser).cursors[""], "e1.9-0");
});

test("what a tab saved before it heard of the signing out is gone too", async () => {
  const browser = createBrowser();
  const first = openTab(browser);
  const late = openTab(browser);
  late.freeze();
  first.persistence.forget();
  await browser.advance(1_000);
  late.persistence.save();
  assert.notEqual(kept(browser), null);
  late.thaw();
  await browser.settle();
  assert.equal(kept(browser), null);
});

test("a tab that thaws long after the signing out ends alone: who signed in since stays, with what was written", async () => {
  const browser = createBrowser();
  const gateway = createGateway({ clock: browser.clock });
  gateway.answerAlways("/api/v1/orders/O-1", 503);
  const open = () => {
    const tab = browser.open();
    const sync = createSync({ ...tab.options, fetch: gateway.fetch, baseUrl: "http://gateway.test", userId: "u-1", telemetry: false });
    return { tab, sync };
  };
  const [first, frozen] = [open(), open()];
  await browser.advance(1_500);
  const request = { path: "/api/v1/orders/O-1", body: {} };
  const former = frozen.sync.enqueue(request);
  former.catch(() => {});
  await browser.advance(1_500);
  frozen.tab.page.fire("freeze");
  frozen.tab.freeze();
  first.sync.signOut();
  await browser.advance(1_500);
  assert.deepEqual(browser.keys().filter((key) => key.includes("u-1")), []);
  const [next, beside] = [open(), open()];
  await browser.advance(1_500);
  const written = next.sync.enqueue(request);
  await browser.advance(1_500);
  frozen.tab.thaw();
  frozen.tab.page.fire("resume");
  await browser.advance(1_500);
  assert.deepEqual([frozen, next, beside].map(({ sync }) => sync.state), ["disconnected", "connected", "connected"]);
  assert.ok(browser.keys().some((key) => key.startsWith("tidegate:sync:u-1:")));
  await assert.rejects(former, /Signed out/);
  gateway.answerAlways("/api/v1/orders/O-1", null);
  gateway.answer("/api/v1/orders/O-1", 200, {});
  await browser.advance(60_000);
  assert.equal((await written).status, 200);
  [next, beside].forEach(({ sync }) => sync.close());
});

test("stop saves once more, and leaves neither timer nor listener nor channel", async () => {
  const browser = createBrowser();
  const tab = openTab(browser);
  tab.persistence.stop();
  assert.equal(kept(browser).cursors[""], CURSOR);
  tab.move("e1.9-0");
  tab.page.fire("pagehide");
  assert.equal(kept(browser).cursors[""], CURSOR);
  assert.equal(browser.clock.pending(), 0);
  assert.equal(browser.channels(), 0);
});
