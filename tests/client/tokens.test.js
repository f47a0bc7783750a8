import assert from "node:assert/strict";
import { test } from "node:test";

import { claimsOf, createTokens } from "../../gateway/static/parts/tokens.js";
import { createClock, settle } from "./support/clock.js";

const clock = createClock();
const seconds = Math.floor(clock.wall() / 1000);
const jwt = (claims) =>
  `h.${btoa(JSON.stringify(claims)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}.s`;
const tokensOf = (getToken) => createTokens({ getToken, environment: { clock } });

test("a page without getToken has none", async () => {
  assert.equal(await tokensOf(null).get(), null);
  assert.equal(await tokensOf(null).get("refused"), null);
});

test("a token is kept until it is refused", async () => {
  let asked = 0;
  const tokens = tokensOf(() => `token-${(asked += 1)}`);
  assert.equal(await tokens.get(), "token-1");
  assert.equal(await tokens.get(), "token-1");
  assert.equal(await tokens.get("token-1"), "token-2");
  // Whoever was refused with the one before gets what there is by now.
  assert.equal(await tokens.get("token-1"), "token-2");
  assert.equal(asked, 2);
});

test("getToken is never called twice at once, and may be sync or async", async () => {
  let release;
  let asked = 0;
  const tokens = tokensOf(() => {
    asked += 1;
    return new Promise((resolve) => (release = resolve));
  });
  const waiting = [tokens.get(), tokens.get(), tokens.get("old")];
  await settle();
  release("one");
  assert.deepEqual(await Promise.all(waiting), ["one", "one", "one"]);
  assert.equal(asked, 1);
});

test("getToken that throws, either way, is called again by the next who asks", async () => {
  const given = [() => { throw new Error("sync"); }, () => Promise.reject(new Error("async")), () => "one"];
  const tokens = tokensOf(() => given.shift()());
  await assert.rejects(tokens.get(), /sync/);
  await assert.rejects(tokens.get(), /async/);
  assert.equal(await tokens.get(), "one");
});

test("a page that is signed out gives no token, and is asked again", async () => {
  const given = [undefined, null, "one"];
  const tokens = tokensOf(() => given.shift());
  assert.equal(await tokens.get(), null);
  assert.equal(await tokens.get(), null);
  assert.equal(await tokens.get(), "one");
});

test("a token that is over by now is asked for anew, and one that comes so is refused", async () => {
  const given = [jwt({ exp: seconds }), jwt({ exp: seconds + 60 }), jwt({ exp: seconds + 600 })];
  const [, second, third] = given;
  const tokens = tokensOf(() => given.shift());
  await assert.rejects(tokens.get(), /expired/);
  assert.equal(await tokens.get(), second);
  clock.sleep(60_000);
  assert.equal(await tokens.get(), third);
});

test("what a token claims is read where it can be", () => {
  const claims = { sub: "user>?ÿ", exp: 7 };
  assert.deepEqual(claimsOf(jwt(claims)), claims);
  for (const opaque of ["", "tgk_abc", "a.b.c", "a.bnVsbA.c", "..", null, undefined]) {
    assert.deepEqual(claimsOf(opaque), {});
  }
});

test("a getToken that never settles is given up, and asked again", async () => {
  let asked = 0;
  const tokens = tokensOf(() => (asked += 1) === 1 ? new Promise(() => {}) : "token");
  const first = assert.rejects(tokens.get(), /in time/);
  await settle();
  await clock.advance(30_000);
  await first;
  assert.equal(await tokens.get(), "token");
});

test("a getToken that throws leaves nothing behind", async () => {
  const tokens = tokensOf(() => {
    throw new Error("signed out");
  });
  await assert.rejects(tokens.get(), /signed out/);
  await clock.advance(60_000);
});
