// Whatever happens to the tabs of a browser: no tab loses an event or gets one twice, or it is told by a reset.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { createWorld } from "./support/shared_world.js";

const RUNS = Number(process.env.TIDEGATE_CLIENT_RUNS ?? 150);
const SEED = process.env.TIDEGATE_CLIENT_SEED ?? (process.env.TIDEGATE_CLIENT_RUNS ? Date.now() : 20_261_120);

const which = fc.nat({ max: 7 });
const STEP = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("publish"), count: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("advance"), ms: fc.constantFrom(0, 500, 2_000, 4_500, 9_000) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("open", "restore") }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom("kill", "stop", "freeze", "thaw", "hide", "show"), which }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("freezeLeader") }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("cut", "trim", "offline", "online", "sleep", "rings", "reconnect"), which }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("breathe", "lose", "double") }) },
);

const STEPS = {
  publish(world, { count }) {
    for (let i = 0; i < count; i += 1) {
      world.log.publish();
    }
  },
  advance: (world, { ms }) => world.advance(ms),
  breathe: () => new Promise((resolve) => setImmediate(resolve)),
  lose: (world) => world.fault("lose"),
  double: (world) => world.fault("double"),
  open: (world) => void world.open(),
  restore(world) {
    const kept = world.alive().find((tab) => tab.store.cursor)?.store.dump();
    world.open({ restored: kept && structuredClone(kept) });
  },
  kill: (world, step) => world.pick(step)?.kill(),
  stop(world, step) {
    const tab = world.pick(step);
    tab?.task(() => {
      tab.shared.stop();
      tab.kill();
    });
  },
  freeze: (world, step) => world.pick(step)?.freeze(),
  freezeLeader: (world) => world.leader()?.freeze(),
  thaw: (world, step) => world.pick(step)?.thaw(),
  hide(world, step) {
    const tab = world.pick(step);
    tab?.task(() => tab.page.fire("pagehide", { persisted: true }));
  },
  show(world, step) {
    const tab = world.pick(step);
    tab?.task(() => tab.page.fire("pageshow", { persisted: true }));
  },
  cut: (world) => world.log.cut(),
  trim: (world) => world.log.trim(),
  offline: (world) => world.log.setOffline(true),
  online: (world) => world.log.setOffline(false),
  sleep: (world) => world.clock.sleep(3_600_000),
  // The ring of a leader begins anew: who is behind can't be served from it.
  rings: (world) => world.leader()?.store.setLanes({}),
  reconnect(world, step) {
    const tab = world.pick(step);
    tab?.task(() => tab.shared.reconnect());
  },
};

/** Each number once and in order, from where the tab began; after a reset from where that led. */
function account(tab, last) {
  let next = tab.began === null ? null : numberOf(tab.began) + 1;
  for (const { type, id, n, data } of tab.got) {
    if (type === "reset" || (type === "state" && data.last)) {
      const at = id ?? data.cursor;
      next = type === "reset" && data.state ? null : numberOf(at) + 1;
    } else if (type === "connected" && next === null && id !== undefined) {
      next = numberOf(id) + 1;
    } else if (n !== undefined) {
      assert.ok(next === null || n === next, `expected ${next}, got ${n}: ${brief(tab)}`);
      next = n + 1;
    }
  }
  assert.equal(numberOf(tab.store.cursor), last, `ends at ${tab.store.cursor} of ${last}: ${brief(tab)}`);
  assert.ok(next === null || next === last + 1, `ends before ${next} of ${last}: ${brief(tab)}`);
}

const numberOf = (cursor) => Number(/\.(\d+)-/.exec(cursor)[1]);
const brief = (tab) => tab.got.map(({ type, n, id }) => n ?? `${type}@${id}`).join(" ");

async function live(steps, { state }) {
  const world = createWorld({ state });
  world.alive = () => world.tabs.filter((tab) => !tab.dead);
  world.pick = ({ which: index }) => world.alive()[index % world.alive().length];
  world.open();
  for (const step of steps) {
    await STEPS[step.kind](world, step);
  }
  world.log.setOffline(false);
  world.open();
  for (const tab of world.alive()) {
    tab.thaw();
    tab.task(() => tab.page.fire("pageshow", { persisted: true }));
  }
  await world.advance(20_000);
  world.log.publish();
  await world.advance(2_500);
  return world;
}

for (const state of [false, true]) {
  test(`nothing is lost or doubled in any tab ${state ? "that keeps the state" : "without state"}`, async () => {
    const property = fc.asyncProperty(fc.array(STEP, { minLength: 1, maxLength: 30 }), async (steps) => {
      const world = await live(steps, { state });
      const last = world.log.last();
      assert.equal(world.log.streams().length, 1);
      for (const tab of world.alive()) {
        account(tab, last);
        assert.equal(tab.shared.status.state, "connected");
        if (state) {
          assert.deepEqual(new Map(tab.store.entities("order")), world.log.state());
        }
      }
      world.alive().forEach((tab) => tab.shared.stop());
      await world.settle();
      assert.equal(world.log.streams().length, 0);
    });
    await fc.assert(property, { numRuns: RUNS, seed: Number(SEED) });
  });
}
