// The table of a connection's states, walked as data.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { health, next, TRANSITIONS } from "../../gateway/static/parts/states.js";

const EVENTS = ["start", "up", "lost", "down", "pause", "end", "fail"];

// What each event makes of each state; "" where it changes nothing.
const EXPECTED = {
  //            start         up           lost          down           pause     end             fail
  initialized: ["connecting", "", "", "", "paused", "disconnected", "failed"],
  connecting: ["", "connected", "", "unavailable", "paused", "disconnected", "failed"],
  connected: ["connecting", "", "connecting", "unavailable", "paused", "disconnected", "failed"],
  unavailable: ["connecting", "connected", "", "", "paused", "disconnected", "failed"],
  paused: ["connecting", "", "", "", "", "disconnected", ""],
  disconnected: ["connecting", "", "", "", "", "", ""],
  failed: ["connecting", "", "", "", "", "disconnected", ""],
};

test("the table has the seven states, and no others", () => {
  assert.deepEqual(Object.keys(TRANSITIONS).sort(), Object.keys(EXPECTED).sort());
  const reached = Object.values(TRANSITIONS).flatMap((events) => Object.values(events));
  assert.ok(reached.every((state) => state in EXPECTED));
});

for (const [state, row] of Object.entries(EXPECTED)) {
  for (const [at, event] of EVENTS.entries()) {
    test(`${state}, ${event}: ${row[at] || "as it was"}`, () => {
      assert.equal(next(state, event), row[at] || state);
    });
  }
}

test("from every state a connection can be started anew, and closed", () => {
  for (const state of Object.keys(EXPECTED)) {
    assert.equal(next(state, "start"), "connecting");
    assert.equal(next(state, "end"), "disconnected");
  }
});

test("the health of a state goes by why it polls only where something works", () => {
  const table = {
    initialized: "connecting",
    connecting: "connecting",
    unavailable: "error",
    failed: "error",
    paused: "disconnected",
    disconnected: "disconnected",
  };
  for (const reason of [null, "fetch-mode", "mute"]) {
    for (const [state, expected] of Object.entries(table)) {
      assert.equal(health(state, reason), expected);
    }
  }
  assert.equal(health("connected", null), "healthy");
  assert.equal(health("connected", "error"), "polling");
});

test("the picture in the docs has every state and event", () => {
  const docs = readFileSync(new URL("../../docs/architecture.md", import.meta.url), "utf8");
  const [, picture] = /## The browser client's connection[^]*?```\n([^]*?)```/.exec(docs);
  for (const name of [...Object.keys(EXPECTED).map((state) => state.toUpperCase()), ...EVENTS]) {
    assert.ok(new RegExp(`\\b${name}\\b`).test(picture), `${name} is not drawn`);
  }
});
