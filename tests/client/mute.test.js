import assert from "node:assert/strict";
import { test } from "node:test";

import { createMute } from "../../gateway/static/parts/mute.js";
import { createClock } from "./support/clock.js";
import { createStorage } from "./support/connected.js";

function worldOf(storage = createStorage()) {
  const clock = createClock();
  let type = "wifi";
  const environment = { clock, storage, network: () => type };
  const open = (baseUrl = "http://gateway.test") => createMute({ baseUrl, environment });
  return { clock, storage, open, moves: (to) => (type = to) };
}

test("a verdict holds for ten minutes, on its network, for its gateway", () => {
  const { clock, open, moves } = worldOf();
  open().judge(true);
  assert.equal(open().holds, true);
  assert.equal(open("http://other.test").holds, false);
  moves("cellular");
  assert.equal(open().holds, false);
  moves("wifi");
  clock.sleep(599_999);
  assert.equal(open().holds, true);
  clock.sleep(1);
  assert.equal(open().holds, false);
});

test("a verdict that is taken back is forgotten", () => {
  const { storage, open } = worldOf();
  const mute = open();
  mute.judge(true);
  mute.judge(false);
  assert.equal(mute.holds, false);
  assert.equal(storage.length, 0);
});

test("without storage it holds for this page", () => {
  const { open } = worldOf(null);
  const mute = open();
  mute.judge(true);
  assert.equal(mute.holds, true);
  assert.equal(open().holds, false);
});

test("what somebody else wrote there is no verdict", () => {
  const { storage, open } = worldOf();
  open().judge(true);
  for (const text of ["", "{", "soon wifi", "null", "Infinity wifi", "99999999999999 wifi"]) {
    storage.setItem(storage.key(0), text);
    assert.equal(open().holds, false, text);
  }
});
