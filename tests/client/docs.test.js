// docs/client.md: its code runs, and its tables are those of the code.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { createHooks } from "../../gateway/static/react.js";
// What the client loads later is there at once, as turns of the clock take no time.
import "../../gateway/static/auto_refresh.js";
import "../../gateway/static/shared.js";
import "../../gateway/static/writes.js";
import { readSettings } from "../../gateway/static/parts/settings.js";
import { TRANSITIONS } from "../../gateway/static/parts/states.js";
import { createClock, settle } from "./support/clock.js";
import { act, h, React, show } from "./support/dom.js";
import { createGateway } from "./support/gateway.js";
import { build, snippetsOf, typeErrors, writeProject } from "./support/snippets.js";

const PAGE = readFileSync(new URL("../../docs/client.md", import.meta.url), "utf8");
const SNIPPETS = snippetsOf("client.md");
const load = build([...SNIPPETS, ["packages.js", 'export { QueryClientProvider } from "@tanstack/react-query";\n']]);
const ORDER = { "O-1": { orderID: "O-1", orderStage: "billed" } };

/** A gateway with one order, and what a page's own globals, or its options, are to have of it. */
function setUp() {
  const clock = createClock();
  const gateway = createGateway({ clock });
  gateway.setState({ order: structuredClone(ORDER) });
  const world = { fetch: gateway.fetch, clock, storage: null, page: null, locks: null, openChannel: null };
  const pass = (ms = 100) => act(() => clock.advance(ms));
  const publish = async (orderStage, members) => {
    gateway.publish({ data: { orderID: "O-1", orderStage }, ...members });
    await pass();
  };
  return { clock, gateway, world, pass, publish };
}

/** While `run` runs, the page's own globals are this world's. */
async function within({ gateway, clock }, run) {
  const { fetch, setTimeout, clearTimeout } = globalThis;
  Object.assign(globalThis, { fetch: gateway.fetch, setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout });
  try {
    await run();
  } finally {
    Object.assign(globalThis, { fetch, setTimeout, clearTimeout });
  }
}

test("every block of code has a name, and fits the client's types", () => {
  const blocks = PAGE.match(/^```jsx?$/gm);
  assert.equal(SNIPPETS.length, blocks.length);
  const root = writeProject(SNIPPETS);
  // Of what a function of the application gives JavaScript says no type.
  const errors = typeErrors(root, SNIPPETS.map(([name]) => name)).filter((error) => !error.endsWith("on type 'unknown'."));
  assert.deepEqual(errors, []);
});

test("plain JavaScript shows the list, and what becomes of it", async () => {
  const one = setUp();
  const { followOrders } = await load("orders.js");
  await within(one, async () => {
    const shown = [];
    const end = followOrders((orders) => shown.push(orders.map(({ orderStage }) => orderStage)));
    await one.pass();
    await one.publish("paid");
    assert.deepEqual([shown.at(0), shown.at(-1)], [["billed"], ["paid"]]);
    assert.equal(one.gateway.asked("events").length, 1);
    assert.deepEqual(one.gateway.stream.params.getAll("component"), ["orders"]);
    end();
    await one.pass();
    assert.equal(one.gateway.streams.length, 0);
  });
});

test("plain JavaScript refetches one order, and says what happened to it", async () => {
  const one = setUp();
  const { followOrder } = await load("order-page.js");
  await within(one, async () => {
    const said = [];
    let refetched = 0;
    const end = followOrder("O-1", () => (refetched += 1), (text) => said.push(text));
    await one.pass();
    one.gateway.publish({ data: { previousStage: "billed", newStage: "paid" } });
    await one.pass(10_000);
    assert.deepEqual([said, refetched], [["billed → paid"], 1]);
    one.gateway.answerAlways("events", 403, { detail: "You may not receive orders." });
    one.gateway.stream.cut();
    await one.pass(10_000);
    assert.match(said.at(-1), /You may not receive orders/);
    end();
  });
});

test("the React application shows the order, and refreshes its dashboard when something changed", async () => {
  const { gateway, world, pass, publish } = setUp();
  const { App } = await load("App.jsx");
  let fetched = 0;
  const notices = [];
  const fetchDashboard = async () => (fetched += 1);
  const shown = await show(h(App, { fetchDashboard, notify: (text) => notices.push(text), ...world }), { strict: true });
  await pass();
  assert.match(shown.text(), /Status: healthy ● Livebilled0 changes/);
  assert.equal(gateway.streams.length, 1);
  const first = fetched;
  await publish("paid", { data: { orderStage: "paid", previousStage: "billed", newStage: "paid" } });
  await pass(10_000);
  assert.match(shown.text(), /paid1 changes/);
  assert.deepEqual(notices, ["O-1 is paid"]);
  assert.equal(fetched, first + 1);
  await shown.unmount();
  await settle();
  assert.equal(gateway.streams.length, 0);
});

test("the query of the application is asked again when an order changed", async () => {
  const one = setUp();
  const { createQueries } = await load("queries.js");
  const { Orders } = await load("Orders.jsx");
  const { QueryClientProvider } = await load("packages.js");
  await within(one, async () => {
    const { client, sync, unbind } = createQueries(one.world);
    let stage = "billed";
    let fetched = 0;
    const fetchOrders = async () => {
      fetched += 1;
      return [{ orderID: "O-1", orderStage: stage }];
    };
    const shown = await show(h(QueryClientProvider, { client }, h(Orders, { fetchOrders })));
    await one.pass();
    assert.equal(shown.text(), "billed");
    stage = "paid";
    one.gateway.publish();
    one.gateway.publish();
    await one.pass(1000);
    assert.deepEqual([shown.text(), fetched], ["paid", 2]);
    unbind();
    sync.close();
    await shown.unmount();
    client.clear();
    assert.equal(one.gateway.streams.length, 0);
  });
});

/** The rows of the table whose head begins with `first`, as lists of their cells' texts. */
function rowsOf(first) {
  const [, table] = new RegExp(`^\\| ${first} \\|.*\\n\\|[ |-]+\\n((?:\\|.*\\n)+)`, "m").exec(PAGE);
  return table.trim().split("\n").map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()));
}

test("the table of states is the code's", () => {
  const events = ["start", "up", "lost", "down", "pause", "end", "fail"];
  const told = rowsOf("state").map(([state, ...cells]) => [
    state.replaceAll("`", ""),
    Object.fromEntries(cells.map((cell, at) => [events[at], cell.replaceAll("`", "")]).filter(([, next]) => next !== "")),
  ]);
  const changes = Object.entries(TRANSITIONS).map(([state, events]) => [
    state,
    Object.fromEntries(Object.entries(events).filter(([, next]) => next !== state)),
  ]);
  assert.deepEqual(Object.fromEntries(told), Object.fromEntries(changes));
});

test("the table of options names every option, and no other", () => {
  const told = rowsOf("option").flatMap(([names]) => [...names.matchAll(/`(\w+)`/g)].map(([, name]) => name));
  const given = Object.keys(readSettings({ clientId: "browser-1" }, { storage: null }));
  assert.deepEqual(told.sort(), given.filter((name) => !["clientVersion", "credentials"].includes(name)).sort());
});

test("the table of options tells the defaults that options of one row each have", () => {
  const given = readSettings({ clientId: "browser-1" }, { storage: null });
  const told = rowsOf("option").flatMap(([names, usual]) => {
    const [, name] = /^`(\w+)`$/.exec(names) ?? [];
    const [, value] = /^`?(true|false|\d+)`?$/.exec(usual) ?? [];
    return name && value ? [[name, JSON.parse(value)]] : [];
  });
  assert.ok(told.length >= 6);
  assert.deepEqual(told, told.map(([name]) => [name, given[name]]));
});

test("every hook and component has a counterpart in the table", () => {
  const right = rowsOf("theirs").map((cells) => cells.at(-1)).join("\n");
  const names = Object.keys(createHooks(React));
  assert.deepEqual(names.filter((name) => !right.includes(name)), []);
});
