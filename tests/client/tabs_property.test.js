// The whole client in many tabs of one browser, before a gateway that changes modes and a network that fails.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { createSync } from "../../gateway/static/tidegate.js";
import { createClock } from "./support/clock.js";
import { createGateway } from "./support/gateway.js";
import "./support/loaded.js";
import { createBrowser } from "./support/tabs.js";

const RUNS = Number(process.env.TIDEGATE_CLIENT_RUNS ?? 40);
const SEED = Number(process.env.TIDEGATE_CLIENT_SEED ?? (process.env.TIDEGATE_CLIENT_RUNS ? Date.now() : 20_261_120));
const TYPES = ["order", "invoice"];
const COMPONENTS = ["orders", "invoices"];

const which = fc.nat({ max: 7 });
const kinds = (...names) => fc.record({ kind: fc.constantFrom(...names), which });
const STEP = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("publish"), count: fc.integer({ min: 1, max: 12 }), which }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("advance"), ms: fc.constantFrom(500, 2_000, 4_500, 9_000, 31_000) }) },
  { weight: 3, arbitrary: kinds("open") },
  { weight: 6, arbitrary: kinds("kill", "close", "freeze", "thaw", "hide", "show") },
  { weight: 2, arbitrary: kinds("freezeLeader") },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("mode"), which, mode: fc.constantFrom("polling", "streaming") }) },
  { weight: 3, arbitrary: kinds("cut", "stall", "down", "mute", "up", "trim", "reconnect") },
  { weight: 2, arbitrary: kinds("restart", "sleep", "lose", "double") },
);

const STEPS = {
  publish({ gateway }, { count, which: index }) {
    for (let i = 0; i < count; i += 1) {
      gateway.publish({ entityType: TYPES[(index + i) % 2], entityId: `X-${i % 5}` });
    }
  },
  advance: ({ browser }, { ms }) => browser.advance(ms),
  open: (world) => void world.open(),
  kill: (world, step) => world.pick(step)?.kill(),
  close(world, step) {
    const tab = world.pick(step);
    tab?.task(() => {
      tab.sync.close();
      tab.kill();
    });
  },
  freeze: (world, step) => world.pick(step)?.freeze(),
  freezeLeader: (world) => world.alive().find((tab) => tab.sync.transport === "sse")?.freeze(),
  thaw: (world, step) => world.pick(step)?.thaw(),
  hide: (world, step) => world.fire(world.pick(step), "pagehide"),
  show: (world, step) => world.fire(world.pick(step), "pageshow"),
  mode: ({ gateway }, { which: index, mode }) => gateway.setMode(COMPONENTS[index % 2], mode),
  cut: ({ gateway }) => gateway.streams.forEach((stream) => stream.cut()),
  stall: ({ gateway }) => gateway.streams.forEach((stream) => stream.stall()),
  down({ gateway }) {
    gateway.network = "down";
    gateway.streams.forEach((stream) => stream.cut());
  },
  mute({ gateway }) {
    gateway.network = "mute";
  },
  up({ gateway }) {
    gateway.network = "up";
  },
  trim: ({ gateway }) => gateway.trim(),
  restart: ({ gateway }) => gateway.restart(`e${Number(gateway.cursor.slice(1, gateway.cursor.indexOf("."))) + 1}`),
  sleep: ({ clock }, { which: index }) => clock.sleep(3_600_000, { monotonic: index % 2 === 0 }),
  lose: ({ browser }) => browser.fault("lose"),
  double: ({ browser }) => browser.fault("double"),
  reconnect(world, step) {
    const tab = world.pick(step);
    tab?.task(() => tab.sync.reconnect());
  },
};

function createWorld({ state }) {
  const clock = createClock();
  const gateway = createGateway({ clock });
  const published = { order: [], invoice: [] };
  const { publish } = gateway;
  gateway.publish = (fields) => published[fields.entityType].push(publish(fields).id);
  if (state) {
    gateway.setState({ order: {}, invoice: {} });
  }
  const browser = createBrowser({ clock, fetch: gateway.fetch });
  const alive = () => browser.tabs.filter((tab) => !tab.dead);
  return {
    clock,
    gateway,
    browser,
    published,
    alive,
    pick: ({ which: index }) => alive()[index % alive().length],
    fire: (tab, type) => tab?.task(() => tab.page.fire(type, { persisted: true })),
    open() {
      const tab = browser.open();
      const got = [];
      tab.task(() => {
        tab.sync = createSync({ baseUrl: "http://gateway.test", entities: TYPES, components: COMPONENTS, state, clientId: "c-1", telemetry: false, ...tab.options });
        tab.sync.on("*", (data, type, id) => got.push({ type, data, id, entityType: data.entityType }));
      });
      return Object.assign(tab, { got, sync: { transport: "none", close() {}, reconnect() {} } });
    },
  };
}

const brief = ({ got }) => got.map(({ type, entityType, id }) => `${entityType?.[0] ?? type} ${id}`).join(", ");

/** Of each type each event once and in order; a reset or a state with an id leads on from where it says. */
function account(tab, type, published) {
  let next = null; // The place in `published` that has to come.
  for (const { type: kind, data, entityType, id } of tab.got) {
    if (kind === "reset" || (kind === "state" && data.last && id !== undefined)) {
      next = null;
    } else if (entityType === type && kind === "stage_change") {
      const at = published.indexOf(id);
      assert.ok(next === null || at === next, `${type}: expected ${published[next]}, got ${id}: ${brief(tab)}`);
      next = at + 1;
    }
  }
  assert.equal(next, published.length, `${type}: ${published[next]} and later are missing: ${brief(tab)}`);
}

async function live(steps, options) {
  const world = createWorld(options);
  const { gateway, browser } = world;
  world.open();
  await browser.settle();
  for (const step of steps) {
    await STEPS[step.kind](world, step);
  }
  gateway.network = "up";
  world.open();
  for (const tab of world.alive()) {
    tab.thaw();
    world.fire(tab, "pageshow");
  }
  await browser.advance(120_000);
  TYPES.forEach((entityType) => gateway.publish({ entityType, entityId: "X-0" }));
  await browser.advance(30_000);
  return world;
}

for (const state of [false, true]) {
  test(`nothing is lost or doubled in any tab, whatever the modes ${state ? "with" : "without"} state`, async () => {
    const property = fc.asyncProperty(fc.array(STEP, { minLength: 1, maxLength: 25 }), async (steps) => {
      const world = await live(steps, { state });
      const [leaders, followers] = [["sse", "poll"], ["shared"]].map((transports) =>
        world.alive().filter((tab) => transports.includes(tab.sync.transport)),
      );
      assert.equal(leaders.length, 1, "one leads");
      assert.equal(leaders.length + followers.length, world.alive().length);
      for (const tab of world.alive()) {
        assert.equal(tab.sync.state, "connected");
        TYPES.forEach((type) => account(tab, type, world.published[type]));
        if (state) {
          TYPES.forEach((type) => assert.deepEqual(new Map(tab.sync.entities(type)), new Map(Object.entries(world.gateway.stateOf(type)))));
        }
      }
      for (const tab of world.alive()) {
        tab.sync.close();
      }
      await world.browser.settle();
      assert.equal(world.gateway.streams.length, 0);
    });
    await fc.assert(property, { numRuns: RUNS, seed: SEED });
  });
}
