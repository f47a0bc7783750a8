import assert from "node:assert/strict";
import { test } from "node:test";

import { createRequest, retryAfterMs } from "../../gateway/static/parts/request.js";
import { createClock, settle } from "./support/clock.js";

const answer = (status, body = {}, fields = {}) => ({
  status,
  ok: status >= 200 && status < 300,
  headers: new Headers(fields),
  json: async () => body,
});

function worldOf(answers) {
  const clock = createClock();
  const asked = [];
  const fetch = (url, options) => {
    asked.push({ url, ...options });
    return Promise.resolve(answers.shift());
  };
  const settings = { baseUrl: "http://gateway.test/sub", credentials: "include", getToken: null };
  const tokens = { get: async () => null };
  return { clock, asked, request: createRequest({ settings, environment: { clock, fetch }, tokens }) };
}

test("Retry-After is read in seconds and as a date, an hour at most, and is 0 where it says nothing", () => {
  const clock = createClock();
  const of = (text) => retryAfterMs(answer(503, {}, text === null ? {} : { "Retry-After": text }), clock);
  const date = (ms) => new Date(clock.wall() + ms).toUTCString();
  const table = [["0", 0], ["20", 20_000], ["999999", 3_600_000], [date(20_000), 20_000], [date(-20_000), 0], ["soon", 0], ["-5", 0], ["", 0], [null, 0]];
  for (const [text, ms] of table) {
    assert.equal(of(text), ms, String(text));
  }
});

test("what trying again can't mend is fatal, and the gateway's sentence is told", async () => {
  const fatal = [400, 401, 403, 404, 405, 406, 413, 414, 421, 431, 451];
  const passing = [407, 408, 410, 425, 429, 500, 501, 502, 503, 504, 511];
  for (const status of [...fatal, ...passing]) {
    const { request } = worldOf([answer(status, { detail: "Why so." })]);
    const error = await request("poll", "a=1", {}).catch((reason) => reason);
    assert.equal(error.status, status);
    assert.equal(error.fatal, fatal.includes(status));
    assert.equal(error.message.includes("Why so."), fatal.includes(status));
  }
});

test("a refusal whose body is no problem, or never ends, is told all the same", async () => {
  const endless = { ...answer(403), json: () => new Promise(() => {}) };
  const { clock, request } = worldOf([{ ...answer(403), json: async () => JSON.parse("<") }, endless]);
  await assert.rejects(request("poll", "", {}), { status: 403 });
  const refused = assert.rejects(request("poll", "", {}), { status: 403 });
  await clock.advance(8000);
  await refused;
});

test("an answer that is the same as before is null", async () => {
  const known = {};
  const options = { controller: new AbortController(), known };
  const { asked, request } = worldOf([answer(200, { n: 1 }, { ETag: '"a"' }), answer(304, {}, { ETag: '"b"' })]);
  assert.deepEqual(await request.json("state", "", options), { n: 1 });
  assert.equal(await request.json("state", "", options), null);
  assert.deepEqual(asked.map(({ headers }) => headers["If-None-Match"]), [undefined, '"a"']);
  assert.equal(known.etag, '"b"');
});

test("what is aborted is rejected with its reason, and leaves no timer", async () => {
  const { clock, request } = worldOf([new Promise(() => {})]);
  const controller = new AbortController();
  const asking = assert.rejects(request("poll", "", { controller }), /enough/);
  await settle();
  assert.equal(clock.pending(), 1);
  controller.abort(new Error("enough"));
  assert.equal(clock.pending(), 0);
  await asking;
});
