// Whatever happens to the tabs, the network and the server: each write is done once, in its tab's order, or was refused.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { createWriters } from "./support/writing.js";

const RUNS = Number(process.env.TIDEGATE_CLIENT_RUNS ?? 150);
const SEED = Number(process.env.TIDEGATE_CLIENT_SEED ?? (process.env.TIDEGATE_CLIENT_RUNS ? Date.now() : 20_261_120));

const which = fc.nat({ max: 7 });
const STEP = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("write"), which, count: fc.integer({ min: 1, max: 4 }), isBatch: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("kill", "freeze", "thaw", "hide", "show"), which }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("open", "breathe") }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("network"), network: fc.constantFrom("up", "down", "hung") }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("server"), answer: fc.constantFrom("good", "busy", "lossy", "strict") }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("advance"), ms: fc.constantFrom(0, 400, 3000, 31_000) }) },
);

/** A server that does what each key names once, and refuses every third number for good where it is strict. */
function createServer() {
  const server = { mood: "good", done: [], refused: new Set(), byKey: new Map() };
  const first = ({ key, body: { n } }) => {
    const isRefused = server.mood === "strict" && n % 3 === 0;
    if (isRefused) server.refused.add(n);
    else server.done.push(n);
    server.byKey.set(key, { status: isRefused ? 422 : 200 });
  };
  server.answer = (request) => {
    if (server.mood === "busy") return { status: 503 };
    if (!server.byKey.has(request.key)) first(request);
    return server.mood === "lossy" ? { lost: true } : server.byKey.get(request.key);
  };
  return server;
}

function createWorld() {
  const writers = createWriters();
  const server = createServer();
  const world = { ...writers, server, tabs: [], made: [], promises: [] };
  writers.api.always = server.answer;
  world.open = () => world.tabs.push(writers.open());
  world.pick = (at) => world.tabs.filter(({ tab }) => !tab.dead)[at % 4];
  return world;
}

const STEPS = {
  open: (world) => void world.open(),
  breathe: () => new Promise((resolve) => setImmediate(resolve)),
  advance: (world, { ms }) => world.advance(ms),
  network: (world, { network }) => void (world.api.network = network),
  server: (world, { answer }) => void (world.server.mood = answer),
  async write(world, step) {
    const one = world.pick(step.which);
    if (!one || one.tab.frozen) return;
    const numbers = Array.from({ length: step.count }, (_, at) => world.made.length + at);
    world.made.push(...numbers.map((n) => ({ n, one })));
    const requests = numbers.map((n) => ({ path: "/orders", body: { n }, entity: `order:${n}`, optimistic: { n } }));
    const promises = step.isBatch ? [one.batch(requests)] : requests.map((request) => one.enqueue(request));
    promises.forEach((promise) => {
      const watched = { one, isSettled: false };
      promise.catch(() => {}).then(() => (watched.isSettled = true));
      world.promises.push(watched);
    });
    // A write counts once it is kept, which takes no longer than a tab that was just opened needs to know its user.
    await new Promise((resolve) => setImmediate(resolve));
  },
  kill: (world, step) => world.pick(step.which)?.tab.kill(),
  freeze(world, step) {
    const one = world.pick(step.which);
    if (!one || one.tab.frozen) return;
    one.tab.page.fire("freeze");
    one.tab.freeze();
  },
  thaw(world, step) {
    const one = world.pick(step.which);
    if (!one?.tab.frozen) return;
    one.tab.thaw();
    one.tab.page.fire("resume");
  },
  hide: (world, step) => world.pick(step.which)?.tab.page.fire("pagehide", { persisted: false }),
  show: (world, step) => world.pick(step.which)?.tab.page.fire("pageshow", { persisted: false }),
};

/** The end of every walk: everything is well again, for long enough. */
async function calm(world) {
  world.api.network = "up";
  world.server.mood = "good";
  world.open();
  for (const { tab } of world.tabs.filter(({ tab }) => !tab.dead)) {
    tab.thaw();
    tab.page.fire("resume");
    tab.page.fire("pageshow", { persisted: false });
  }
  await world.advance(120_000);
}

test("each write is done once, in its tab's order, or was refused", { timeout: 280_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(STEP, { minLength: 4, maxLength: 40 }), async (steps) => {
      const world = createWorld();
      world.open();
      for (const step of steps) await STEPS[step.kind](world, step);
      await calm(world);
      const { done, refused } = world.server;
      assert.deepEqual([...done, ...refused].sort((a, b) => a - b), world.made.map(({ n }) => n));
      for (const one of world.tabs) {
        const own = world.made.filter((write) => write.one === one && !refused.has(write.n)).map(({ n }) => n);
        assert.deepEqual(done.filter((n) => own.includes(n)), own);
      }
      assert.deepEqual(world.kept(), []);
      assert.ok(world.promises.every(({ one, isSettled }) => one.tab.dead || isSettled));
      for (const one of world.tabs.filter(({ tab }) => !tab.dead)) assert.equal(one.writes.view("order").size, 0);
    }),
    { numRuns: RUNS, seed: SEED },
  );
});
