// Any interleaving of faults, modes, resets, tokens and restarts: every event once, in order, or a reset.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { createStore } from "../../gateway/static/parts/store.js";
import { createAccount } from "./support/account.js";
import { createClock } from "./support/clock.js";
import { createWorld } from "./support/connected.js";
import { createGateway } from "./support/gateway.js";

const RUNS = Number(process.env.TIDEGATE_CLIENT_RUNS ?? 300);
const SEED = Number(process.env.TIDEGATE_CLIENT_SEED ?? (process.env.TIDEGATE_CLIENT_RUNS ? Date.now() : 20_261_120));
const TYPES = { orders: "order", invoices: "invoice" };

/** One browser's client through its lives: what a step does to it, to the gateway and to the network. */
async function live({ settings, seed, steps, draw }) {
  const clock = createClock();
  const gateway = createGateway({ clock, limit: 3 });
  const account = createAccount({ types: Object.values(TYPES), lanes: () => world.store.lanes });
  let epoch = 1;
  let tokens = 0;
  let failure = null;
  account.begins("e1");
  if (settings.state) {
    gateway.setState({ order: { "O-0": {} }, invoice: {} });
  }
  const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;

  let world;
  function begin(dump) {
    const store = createStore({ keepState: settings.state });
    if (dump) {
      store.restore(structuredClone(dump));
    }
    store.applied((message) => {
      try {
        account.took(message);
      } catch (error) {
        failure ??= error;
      }
    });
    world = createWorld({
      settings: { ...settings, getToken: settings.getToken && (() => `token-${(tokens += 1)}`) },
      clock,
      gatewayMade: gateway,
      store,
      storage: world?.storage,
      random,
    });
    world.connection.start();
  }

  const does = {
    publish: (type) => account.published(gateway.publish({ entityType: type, entityId: `${type}-1` })),
    advance: (ms) => clock.advance(ms),
    latency: (ms) => void (gateway.latencyMs = () => Math.floor(random() * ms)),
    network: (kind) => void (gateway.network = kind),
    cut: () => gateway.stream?.cut(),
    end: () => gateway.stream?.end(),
    stall: () => gateway.stream?.stall(),
    bye: (reason) => gateway.stream?.bye(reason, true, 500),
    mode: ([component, mode, delayMs]) => gateway.setMode(component, mode, { delayMs }),
    trim: () => gateway.trim(),
    restart: (cuts) => {
      epoch += 1;
      account.begins(`e${epoch}`);
      gateway.restart(`e${epoch}`, { cuts });
    },
    answer: ([path, status]) => gateway.answer(path, status),
    expiring: () =>
      gateway.stream?.control("token-expiring", { expiresAt: new Date(clock.wall() + 50_000).toISOString() }),
    sleep: ([ms, monotonic]) => clock.sleep(ms, { monotonic }),
    hint: () => world.connection.hint(),
    pause: () => world.connection.pause(),
    resume: () => world.connection.resume(),
    reconnect: () => world.connection.reconnect(),
    reload: () => {
      const dump = world.store.dump();
      world.connection.stop();
      begin(dump);
    },
  };

  begin(null);
  for (const [name, argument] of steps) {
    await does[name](argument);
    if (draw) {
      await clock.advance(0);
    }
    if (failure) {
      throw failure;
    }
  }

  // Everything works again: nothing stays where it was driven to.
  gateway.network = "up";
  gateway.latencyMs = () => 0;
  gateway.forgetAnswers();
  await clock.advance(10_000); // What was on its way still comes.
  world.connection.resume();
  if (["failed", "disconnected"].includes(world.status.state)) {
    world.connection.reconnect();
  }
  await clock.advance(700_000);
  if (failure) {
    throw failure;
  }
  assert.deepEqual(account.missing(), []);
  assert.equal(world.status.state, "connected");
  const polled = Object.keys(TYPES).filter((name) => gateway.modes[name] === "polling");
  const isPolled = polled.length === Object.keys(TYPES).length;
  assert.equal(world.status.transport, isPolled ? "poll" : "sse");
  assert.deepEqual(Object.keys(world.store.lanes), isPolled ? [] : polled);
  world.connection.stop();
  assert.equal(clock.pending(), 0);
  assert.equal(gateway.streams.length, 0);
}

const component = fc.constantFrom(...Object.keys(TYPES));
const mode = fc.constantFrom("polling", "streaming");
const ms = fc.oneof(
  fc.integer({ min: 0, max: 600 }),
  fc.integer({ min: 0, max: 6000 }),
  fc.integer({ min: 0, max: 60_000 }),
);
const step = (weight, name, argument = fc.constant(null)) => ({
  weight,
  arbitrary: fc.tuple(fc.constant(name), argument),
});

const CALM = [
  step(12, "publish", fc.constantFrom(...Object.values(TYPES))),
  step(10, "advance", ms),
  step(6, "mode", fc.tuple(component, mode, fc.integer({ min: 0, max: 5000 }))),
  step(2, "cut"),
  step(2, "latency", fc.constantFrom(0, 100, 3000)),
];
const WILD = [
  ...CALM,
  step(3, "network", fc.constantFrom("up", "up", "down", "mute", "hung")),
  step(1, "end"),
  step(1, "stall"),
  step(1, "bye", fc.constantFrom("drain", "limit", "slow_consumer", "token_expired")),
  step(1, "trim"),
  step(2, "restart", fc.boolean()),
  step(2, "answer", fc.tuple(fc.constantFrom("events", "poll", "state", "fetch-mode"), fc.constantFrom(401, 410, 429, 500, 503))),
  step(1, "expiring"),
  step(1, "sleep", fc.tuple(fc.integer({ min: 0, max: 3_600_000 }), fc.boolean())),
  step(1, "hint"),
  step(1, "pause"),
  step(2, "resume"),
  step(1, "reconnect"),
  step(2, "reload"),
];
const steps = fc.oneof(...[CALM, WILD].map((kinds) => fc.array(fc.oneof(...kinds), { maxLength: 40, size: "max" })));

const lives = fc.record({
  settings: fc.record({
    state: fc.boolean(),
    components: fc.constantFrom([], ["orders", "invoices"]),
    entities: fc.constantFrom([], ["order", "invoice"]),
    getToken: fc.boolean(),
  }),
  seed: fc.integer({ min: 0, max: 2147483647 }),
  draw: fc.boolean(),
  steps,
});

test("whatever happens, the store gets every event once and in order, or a reset, and nothing stays stuck", async () => {
  await fc.assert(fc.asyncProperty(lives, live), { numRuns: RUNS, seed: SEED });
});
