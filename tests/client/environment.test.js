import assert from "node:assert/strict";
import { test } from "node:test";

import { createEnvironment } from "../../gateway/static/parts/environment.js";
import { followPage } from "../../gateway/static/parts/page.js";

const refused = () => {
  throw Object.assign(new Error("denied"), { name: "SecurityError" });
};

test("where there is no browser its parts are null", () => {
  const { page, locks, storage } = createEnvironment();
  assert.equal(page, null);
  assert.equal(locks ?? null, locks);
  assert.equal(storage, null);
});

test("storage that refuses is as if it were empty", () => {
  const storage = new Proxy({}, { get: refused });
  const { storage: kept } = createEnvironment({ storage });
  assert.equal(kept.getItem("a"), null);
  assert.equal(kept.setItem("a", "b"), null);
  assert.doesNotThrow(() => kept.removeItem("a"));
  assert.deepEqual(kept.keys(), []);
});

test("storage whose access is refused is none", () => {
  Object.defineProperty(globalThis, "localStorage", { get: refused, configurable: true });
  try {
    assert.equal(createEnvironment().storage, null);
  } finally {
    delete globalThis.localStorage;
  }
});

test("a clock with fewer members is completed", async () => {
  const { clock } = createEnvironment({ clock: { now: () => 7 } });
  assert.equal(clock.wall(), 7);
  await new Promise((resolve) => clock.setTimeout(resolve, 0));
  clock.clearTimeout(clock.setTimeout(() => assert.fail("it ran"), 0));
  const own = createEnvironment().clock;
  assert.ok(own.wall() > 1e12);
  assert.ok(own.now() < 1e12);
});

test("fetch is called bare, as it is by then", async () => {
  const before = globalThis.fetch;
  const { fetch } = createEnvironment();
  globalThis.fetch = function late(...given) {
    return [this, ...given];
  };
  try {
    assert.deepEqual(await fetch("/a", { method: "GET" }), [undefined, "/a", { method: "GET" }]);
  } finally {
    globalThis.fetch = before;
  }
});

test("what the page lives through becomes verbs, until it is unfollowed", () => {
  const handlers = {};
  let isHidden = false;
  const page = {
    hidden: () => isHidden,
    on(type, run) {
      handlers[type] = run;
      return () => delete handlers[type];
    },
  };
  const said = [];
  const connection = Object.fromEntries(["pause", "resume", "hint"].map((verb) => [verb, () => said.push(verb)]));
  const off = followPage(page, connection);
  const happens = (type, event = {}) => {
    handlers[type]?.(event);
    return said.splice(0);
  };
  assert.deepEqual(happens("pagehide"), ["pause"]);
  assert.deepEqual(happens("pageshow", { persisted: false }), []);
  assert.deepEqual(happens("pageshow", { persisted: true }), ["resume"]);
  assert.deepEqual(happens("freeze"), ["pause"]);
  assert.deepEqual(happens("resume"), ["resume"]);
  assert.deepEqual(happens("online"), ["hint"]);
  assert.deepEqual(happens("visibilitychange"), ["hint"]);
  isHidden = true;
  assert.deepEqual(happens("visibilitychange"), []);
  off();
  assert.deepEqual(handlers, {});
  assert.doesNotThrow(followPage(null, connection));
});

test("what is given is called as its owner would call it, and a fetch as a browser wants it", async () => {
  class Clock {
    #now = 5;
    now() {
      return this.#now;
    }
    setTimeout(run) {
      run(this.#now);
      return 1;
    }
    clearTimeout(id) {
      this.cleared = id;
    }
  }
  const given = new Clock();
  const { clock } = createEnvironment({ clock: given });
  assert.deepEqual([clock.now(), clock.wall()], [5, 5]);
  clock.clearTimeout(clock.setTimeout((now) => assert.equal(now, 5), 1));
  assert.equal(given.cleared, 1);

  const environment = createEnvironment({
    fetch(...all) {
      return [this, ...all];
    },
  });
  assert.deepEqual(environment.fetch("/a", 1), [undefined, "/a", 1]);
});

test("of storage that can't list its items those are known that were written", () => {
  const items = new Map();
  const { storage } = createEnvironment({
    storage: {
      getItem: (key) => items.get(key) ?? null,
      setItem: (key, value) => items.set(key, value),
      removeItem: (key) => items.delete(key),
    },
  });
  storage.setItem("a", "1");
  storage.setItem("b", "2");
  storage.setItem("a", "3");
  assert.deepEqual(storage.keys(), ["a", "b"]);
});
