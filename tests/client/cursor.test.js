import assert from "node:assert/strict";
import { test } from "node:test";
import { isAfter, oldest, parseCursor } from "../../gateway/static/parts/cursor.js";

test("a cursor is read with its scope and 64 bits of each number", () => {
  assert.deepEqual(parseCursor("k3f9x2.18446744073709551615-1.abcDEF-_012"), {
    epoch: "k3f9x2",
    major: 18446744073709551615n,
    minor: 1n,
    scope: "abcDEF-_012",
  });
  assert.equal(parseCursor("k3f9x2.7-0").scope, "");
});

test("what the gateway never gives is no cursor", () => {
  for (const text of ["", "earliest", "e:7-0", "e.7", "e.7-0.short", "E.7-0", "e.-7-0", "e.7-0 ", undefined, null]) {
    assert.equal(parseCursor(text), null, String(text));
  }
});

test("positions are compared as numbers, and the major one first", () => {
  assert.ok(isAfter("e.10-0", "e.9-5"));
  assert.ok(!isAfter("e.9-5", "e.10-0"));
  assert.ok(isAfter("e.9-10", "e.9-9"));
  assert.ok(!isAfter("e.9-9", "e.9-9"));
  assert.ok(isAfter("e.9007199254740993-0", "e.9007199254740992-0"));
});

test("everything is after nothing, and another history after this one", () => {
  assert.ok(isAfter("e.1-0", null));
  assert.ok(isAfter("f.1-0", "e.9-0"));
  assert.ok(isAfter("opaque", "e.9-0"));
  assert.ok(!isAfter("opaque", "opaque"));
  assert.ok(!isAfter(null, null));
});

test("the scope has no part in the order", () => {
  assert.ok(!isAfter("e.5-0.aaaaaaaaaaa", "e.5-0.bbbbbbbbbbb"));
});

test("the oldest is where everything can be resumed from", () => {
  assert.equal(oldest(["e.10-0", "e.9-0", "e.11-0"]), "e.9-0");
  assert.equal(oldest(["e.10-0", null]), null);
  assert.equal(oldest(["e.10-0", "f.1-0"]), "e.10-0", "the history that came first");
});
