import assert from "node:assert/strict";
import test from "node:test";

import { createWriters, order, outcome } from "./support/writing.js";
import { cursorAt, orderChanged, wholeState } from "./support/orders.js";

test("requests go in the order in which they were made, one at a time, each with a key of its own", async () => {
  const { api, open, settle, kept } = createWriters();
  const tab = open();
  const respond = api.answerLater();
  const answers = [1, 2, 3].map((n) => tab.enqueue(order(n)));
  await settle();
  assert.deepEqual(api.bodies, [{ n: 1 }]);
  assert.equal(kept().length, 3);
  respond(201, { id: 7 });
  await settle();
  assert.deepEqual(api.bodies, [{ n: 1 }, { n: 2 }, { n: 3 }]);
  assert.equal(new Set(api.keys).size, 3);
  assert.match(api.keys[0], /^[0-9a-f]{32}$/);
  assert.deepEqual((await outcome(answers[0])).value, { ok: true, status: 201, cursor: undefined, body: { id: 7 } });
  assert.equal((await outcome(answers[2])).value.status, 200);
  assert.deepEqual(kept(), []);
});

test("a request is sent as it was given", async () => {
  const { api, open, settle } = createWriters({ baseUrl: "http://gateway.test/shop" });
  const tab = open();
  tab.enqueue({ method: "PUT", path: "/api/v1/orders/1?x=1", body: [1], headers: { "X-Shop": "a", "Content-Type": "application/x+json" } });
  tab.enqueue({ method: "DELETE", url: "http://elsewhere.test/orders/1" });
  await settle();
  const [put, remove] = api.requests;
  assert.deepEqual([put.method, put.url, put.body], ["PUT", "http://gateway.test/shop/api/v1/orders/1?x=1", [1]]);
  assert.equal(put.headers["x-shop"], "a");
  assert.equal(put.headers["content-type"], "application/x+json");
  assert.deepEqual([remove.method, remove.url, remove.body], ["DELETE", "http://elsewhere.test/orders/1", undefined]);
  assert.equal("content-type" in remove.headers, false);
});

test("a key that the page gives is the one that is sent, each time", async () => {
  const { api, open, settle, advance } = createWriters();
  api.answer(503);
  open().enqueue(order(1, { headers: { "Idempotency-Key": "mine" } }));
  await settle();
  await advance(1000);
  assert.deepEqual(api.keys, ["mine", "mine"]);
  assert.equal("idempotency-key" in api.requests[0].headers, false);
});

for (const status of [500, 502, 503, 504, 408, 425, 429]) {
  test(`a ${status} is tried again under the same key, and what follows waits`, async () => {
    const { api, open, settle, advance } = createWriters();
    const tab = open();
    api.answer(status);
    api.answer(status);
    const first = tab.enqueue(order(1));
    tab.enqueue(order(2));
    await settle();
    assert.equal(api.requests.length, 1);
    await advance(10_000);
    assert.deepEqual(api.bodies, [{ n: 1 }, { n: 1 }, { n: 1 }, { n: 2 }]);
    assert.equal(new Set(api.keys).size, 2);
    assert.ok((await outcome(first)).value.ok);
  });
}

test("Retry-After is obeyed, in seconds and as a date", async () => {
  const { api, open, settle, advance, clock } = createWriters();
  api.answer(429, {}, { "Retry-After": "120" });
  api.answer(503, {}, { "Retry-After": new Date(clock.wall() + 300_000).toUTCString() });
  open().enqueue(order(1));
  await settle();
  await advance(119_000);
  assert.equal(api.requests.length, 1);
  await advance(2000);
  assert.equal(api.requests.length, 2);
  await advance(177_000);
  assert.equal(api.requests.length, 2);
  await advance(5000);
  assert.equal(api.requests.length, 3);
});

test("without a network a request waits, and goes at once when the browser says it is back", async () => {
  const { api, open, settle, advance } = createWriters();
  const tab = open();
  api.network = "down";
  const sent = tab.enqueue(order(1));
  await settle();
  await advance(3_600_000);
  assert.equal(await outcome(sent), "pending");
  api.network = "up";
  tab.tab.page.fire("online");
  await settle();
  assert.ok((await outcome(sent)).value.ok);
});

test("a request that is never answered is tried again after 30 seconds", async () => {
  const { api, open, settle, advance } = createWriters();
  api.network = "hung";
  const sent = open().enqueue(order(1));
  await settle();
  api.network = "up";
  await advance(29_000);
  assert.equal(await outcome(sent), "pending");
  await advance(3000);
  assert.ok((await outcome(sent)).value.ok);
});

for (const status of [400, 401, 403, 404, 409, 410, 412, 422]) {
  test(`a ${status} drops the one, tells of it, and the others go on`, async () => {
    const { api, open, settle, kept } = createWriters();
    const tab = open();
    const problem = { type: "about:blank", title: "No", detail: "The order is closed." };
    api.answer(status, problem);
    const refused = tab.enqueue(order(1));
    const next = tab.enqueue(order(2));
    await settle();
    const { error } = await outcome(refused);
    assert.deepEqual([error.status, error.problem, error.request], [status, problem, order(1)]);
    assert.match(error.message, /The order is closed\./);
    assert.ok((await outcome(next)).value.ok);
    const [{ type, request, ...rest }] = tab.told;
    assert.deepEqual([type, rest], ["outbox", { status, problem }]);
    assert.deepEqual([request.path, request.body], ["/api/v1/orders", { n: 1 }]);
    assert.equal(tab.told.length, 1);
    assert.deepEqual(kept(), []);
  });
}

test("a refusal without JSON is told of as a problem all the same", async () => {
  const { api, open, settle } = createWriters();
  const tab = open();
  api.answer(404, null);
  const refused = tab.enqueue(order(1));
  await settle();
  assert.deepEqual((await outcome(refused)).error.problem, { type: "about:blank", status: 404 });
});

test("what an earlier visit left is sent at the next, in order, before what is new, under the same keys", async () => {
  const { api, open, settle, kept, advance } = createWriters();
  const first = open();
  api.network = "down";
  [1, 2].forEach((n) => first.enqueue(order(n)).catch(() => {}));
  await settle();
  first.tab.kill();
  assert.equal(kept().length, 2);
  const keys = kept().map((name) => /"key":"(\w+)"/.exec(first.tab.environment.storage.getItem(name))[1]);
  api.network = "up";
  const second = open();
  second.enqueue(order(3));
  await settle();
  await advance(1000);
  assert.deepEqual(api.bodies, [{ n: 1 }, { n: 2 }, { n: 3 }]);
  assert.deepEqual(api.keys.slice(0, 2), keys);
});

test("of many tabs one sends, and all promises settle", async () => {
  const { api, open, settle, kept } = createWriters();
  const tabs = [open(), open(), open()];
  const respond = api.answerLater();
  const answers = [];
  for (let n = 0; n < 9; n += 1) {
    answers.push(tabs[n % 3].enqueue(order(n)));
    await settle();
  }
  assert.equal(api.requests.length, 1);
  api.answer(200);
  api.answer(422, { detail: "no" });
  respond(200);
  await settle();
  assert.deepEqual(api.bodies.map(({ n }) => n), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  assert.equal(new Set(api.keys).size, 9);
  const outcomes = await Promise.all(answers.map(outcome));
  assert.deepEqual(outcomes.map(({ value }) => value?.status), [200, 200, undefined, 200, 200, 200, 200, 200, 200]);
  assert.equal(outcomes[2].error.status, 422);
  assert.equal(tabs[2].told.length, 1);
  assert.deepEqual(kept(), []);
});

test("where the sending tab dies, another goes on with the same key", async () => {
  const { api, open, settle } = createWriters();
  const [first, second] = [open(), open()];
  api.answerLater();
  const lost = first.enqueue(order(1));
  const own = second.enqueue(order(2));
  await settle();
  first.tab.kill();
  await settle();
  assert.deepEqual(api.bodies, [{ n: 1 }, { n: 1 }, { n: 2 }]);
  assert.equal(api.keys[0], api.keys[1]);
  assert.ok((await outcome(own)).value.ok);
  assert.equal(await outcome(lost), "pending");
});

test("a tab to which storage comes later than word of what was written waits for its turn all the same", async () => {
  const { api, open, settle } = createWriters();
  let isStale = true;
  const first = open();
  const { storage } = first.tab.environment;
  const second = open({ environment: { storage: { ...storage, keys: () => (isStale ? [] : storage.keys()) } } });
  await settle();
  api.answerLater();
  first.enqueue(order(1));
  await settle();
  isStale = false;
  first.tab.kill();
  await settle();
  assert.deepEqual(api.requests.map(({ tab }) => tab), [first.tab, second.tab]);
});

for (const [away, back] of [["pagehide", "pageshow"], ["freeze", "resume"]]) {
  test(`a page that is left by ${away} lets another tab send, and comes back by ${back}`, async () => {
    const { api, open, settle, kept } = createWriters();
    const [first, second] = [open(), open()];
    api.answerLater();
    const sent = first.enqueue(order(1));
    await settle();
    first.tab.page.fire(away);
    await settle();
    assert.equal(api.requests.length, 2);
    assert.notEqual(api.requests[1].tab, first.tab);
    assert.ok((await outcome(sent)).value.ok);
    first.tab.page.fire(back, { persisted: true });
    await settle();
    const next = first.enqueue(order(2));
    await settle();
    assert.ok((await outcome(next)).value.ok);
    assert.deepEqual(kept(), []);
    second.stop();
  });
}

test("what another tab sent while this page was in the back/forward cache is settled as unknown", async () => {
  const { api, open, settle } = createWriters();
  const [first, second] = [open({ environment: { openChannel: null } }), open()];
  first.store.apply(wholeState(10, { "O-1": { stage: "billed" } }));
  api.answerLater();
  const sent = first.enqueue(order(1, { entity: "order:O-1", optimistic: { stage: "paid" } }));
  await settle();
  second.enqueue(order(2));
  first.tab.page.fire("pagehide");
  await settle();
  assert.equal(api.requests.length, 3);
  first.tab.page.fire("pageshow", { persisted: true });
  await settle();
  assert.match((await outcome(sent)).error.message, /Another tab sent this/);
  first.store.apply(orderChanged(11, "O-1", { stage: "sent" }));
  assert.equal(first.order().stage, "sent");
});

test("signing out drops what waits, whichever tab it is of, and rejects the promises of this one", async () => {
  const { api, open, settle, kept, advance } = createWriters();
  const [first, second] = [open(), open()];
  api.network = "down";
  const answers = [first.enqueue(order(1)), first.enqueue(order(2)), second.enqueue(order(3))];
  await advance(100);
  first.forget(first.tab.environment.clock.wall());
  await settle();
  assert.deepEqual(kept(), []);
  for (const answer of answers.slice(0, 2)) assert.match((await outcome(answer)).error.message, /Signed out/);
  second.forget(first.tab.environment.clock.wall());
  api.network = "up";
  await advance(60_000);
  assert.match((await outcome(answers[2])).error.message, /Signed out/);
  assert.deepEqual(api.requests, []);
});

test("signing out drops what was written before the clock was put back", async () => {
  const { api, open, settle, kept, browser } = createWriters();
  api.network = "down";
  const earlier = open();
  earlier.enqueue(order(1));
  await settle();
  earlier.tab.kill();
  browser.clock.sleep(-3_600_000);
  const now = open();
  now.forget(now.tab.environment.clock.wall());
  await settle();
  assert.deepEqual(kept(), []);
});

test("who hears late of a signing out drops what was written here since, and leaves what others wrote", async () => {
  const { api, open, settle, kept, advance, browser } = createWriters();
  const [late, first] = [open(), open()];
  api.network = "down";
  await advance(1_000);
  const at = first.tab.environment.clock.wall();
  first.forget(at);
  first.stop();
  await advance(1_000);
  const next = open();
  const [mine] = [late.enqueue(order(1)), next.enqueue(order(2))];
  await settle();
  assert.equal(kept().length, 2);
  late.forget(at);
  late.stop();
  await settle();
  assert.match((await outcome(mine)).error.message, /Signed out/);
  assert.equal(kept().length, 1);
  assert.match(browser.storage.getItem(kept()[0]), /"n":2/);
});

test("signing out drops what an earlier visit left, also before the user is known", async () => {
  const { api, open, settle, kept } = createWriters();
  api.network = "down";
  const first = open();
  first.enqueue(order(1));
  await settle();
  first.tab.kill();
  api.network = "up";
  let know;
  const second = open({ user: new Promise((resolve) => (know = resolve)) });
  second.forget(second.tab.environment.clock.wall());
  know("u-1");
  await settle();
  assert.deepEqual([api.requests, kept()], [[], []]);
});

test("who signs out and closes in one step drops what waits, and says that it signed out", async () => {
  const { api, open, settle, kept } = createWriters();
  const first = open();
  api.network = "down";
  const answers = [first.enqueue(order(1)), first.enqueue(order(2))];
  await settle();
  first.forget(first.tab.environment.clock.wall());
  first.stop();
  await settle();
  for (const answer of answers) assert.match((await outcome(answer)).error.message, /Signed out/);
  assert.deepEqual(kept(), []);
});

test("an outbox that is made only to forget drops what an earlier visit left", async () => {
  const { api, open, settle, kept } = createWriters();
  api.network = "down";
  const first = open();
  first.enqueue(order(1));
  await settle();
  first.tab.kill();
  const second = open();
  second.forget(second.tab.environment.clock.wall());
  second.stop();
  await settle();
  assert.deepEqual(kept(), []);
});

test("another user's requests are neither sent nor dropped", async () => {
  const { api, open, settle, kept } = createWriters();
  api.network = "down";
  const first = open();
  first.enqueue(order(1));
  await settle();
  first.tab.kill();
  api.network = "up";
  const other = open({ user: "u-1:x" });
  await settle();
  other.forget(other.tab.environment.clock.wall());
  await settle();
  assert.deepEqual(api.requests, []);
  assert.equal(kept().length, 1);
});

test("where nothing can be kept, each tab sends its own", async () => {
  const { api, open, settle, kept } = createWriters();
  const [first, second] = [open({ user: null }), open({ environment: { storage: null } })];
  const answers = [first.enqueue(order(1)), second.enqueue(order(2))];
  await settle();
  assert.equal(api.requests.length, 2);
  assert.deepEqual(kept(), []);
  for (const answer of answers) assert.ok((await outcome(answer)).value.ok);
});

test("storage that is full does no harm", async () => {
  const { api, open, settle } = createWriters();
  const { storage, ...environment } = open().tab.environment;
  const full = { ...storage, key: storage.key, length: 0, setItem: () => false };
  const tab = open({ environment: { ...environment, storage: full } });
  const answers = [1, 2].map((n) => tab.enqueue(order(n)));
  await settle();
  assert.deepEqual(api.bodies, [{ n: 1 }, { n: 2 }]);
  for (const answer of answers) assert.ok((await outcome(answer)).value.ok);
});

for (const text of ["{", "null", "7", "{}", '{"requests":7}', '{"requests":[]}', "[]"]) {
  test(`what is corrupt is passed over: ${text}`, async () => {
    const { api, open, settle, storage, kept } = createWriters();
    storage.setItem("tidegate:outbox:u-1:000000000000001-ab", text);
    const sent = open().enqueue(order(1));
    await settle();
    assert.ok((await outcome(sent)).value.ok);
    assert.equal(api.requests.length, 1);
    assert.deepEqual(kept(), []);
  });
}

test("there are 1,000 requests at most, and 1 MB of them", async () => {
  const { api, open, settle } = createWriters();
  const tab = open();
  api.network = "down";
  await settle();
  const small = Array.from({ length: 1001 }, (_, n) => tab.enqueue(order(n)));
  const outcomes = await Promise.all(small.map(outcome));
  assert.equal(outcomes.filter((one) => one === "pending").length, 1000);
  assert.match(outcomes[1000].error.message, /The outbox is full/);
  tab.forget();
  await settle();
  const large = [1, 2].map((n) => tab.enqueue(order(n, { body: "x".repeat(600_000) })));
  assert.equal(await outcome(large[0]), "pending");
  assert.match((await outcome(large[1])).error.message, /The outbox is full/);
  small.concat(large).forEach((promise) => promise.catch(() => {}));
});

for (const [name, request] of [
  ["a method that writes nothing", { method: "GET", path: "/x" }],
  ["no address", { body: {} }],
  ["two addresses", { path: "/x", url: "http://elsewhere.test/x" }],
  ["a path without its slash", { path: "x" }],
  ["a path that is another host", { path: "//elsewhere.test/x" }],
  ["a path that a browser takes for another host", { path: "/\\elsewhere.test/x" }],
  ["an address that is none", { url: "http://" }],
  ["a token, which would be kept", { path: "/x", headers: { authorization: "Bearer x" } }],
  ["a body that can't be kept", { path: "/x", body: new Blob(["x"]) }],
  ["a form", { path: "/x", body: new FormData() }],
  ["bytes", { path: "/x", body: new Uint8Array(2) }],
  ["a field that no request can have", { path: "/x", headers: { "a b": "c" } }],
  ["a change of nobody", { path: "/x", optimistic: { stage: "paid" } }],
  ["a change of a whole type", { path: "/x", entity: "order", optimistic: { stage: "paid" } }],
]) {
  test(`a request with ${name} is refused, and nothing is kept`, async () => {
    const { open, settle, kept, api } = createWriters();
    const tab = open();
    const { error } = await outcome(tab.enqueue(request));
    assert.ok(error instanceof TypeError, String(error));
    await settle();
    assert.deepEqual([kept(), api.requests], [[], []]);
  });
}

test("the token goes to the gateway alone, is renewed after a 401, and is kept nowhere", async () => {
  const tokens = ["t-1", "t-2"];
  const { api, open, settle, browser } = createWriters({ getToken: () => tokens.shift() });
  const tab = open();
  api.answer(401);
  const respond = api.answerLater();
  tab.enqueue(order(1));
  tab.enqueue({ url: "http://elsewhere.test/x" });
  await settle();
  const stored = Array.from({ length: browser.storage.length }, (_, at) => browser.storage.getItem(browser.storage.key(at)));
  assert.doesNotMatch(stored.join(), /t-[12]/);
  respond(200);
  await settle();
  assert.deepEqual(api.requests.map(({ headers }) => headers.Authorization), ["Bearer t-1", "Bearer t-2", undefined]);
  assert.equal(api.keys[0], api.keys[1]);
});

test("a token that can't be had is asked for again, and the request waits", async () => {
  let asked = 0;
  const getToken = () => {
    asked += 1;
    if (asked < 3) throw new Error("signed out for a moment");
    return "t-3";
  };
  const { api, open, settle, advance } = createWriters({ getToken });
  open().enqueue(order(1));
  await settle();
  await advance(10_000);
  assert.deepEqual(api.requests.map(({ headers }) => headers.Authorization), ["Bearer t-3"]);
});

test("an optimistic request shows at once, and until the stream has come to its answer", async () => {
  const { api, open, settle } = createWriters();
  const tab = open();
  tab.store.apply(wholeState(10, { "O-1": { stage: "billed" } }));
  const respond = api.answerLater();
  tab.enqueue(order(1, { entity: "order:O-1", optimistic: { stage: "paid" } }));
  assert.equal(tab.order().stage, "paid");
  await settle();
  respond(200, {}, { "Sync-Cursor": cursorAt(12) });
  await settle();
  tab.store.apply(orderChanged(11, "O-1", { stage: "billed", note: "theirs" }));
  assert.deepEqual(tab.order(), { stage: "paid", note: "theirs" });
  tab.store.apply(orderChanged(12, "O-1", { stage: "settled" }));
  assert.deepEqual(tab.order(), { stage: "settled" });
});

test("the cursor of a publication stands in its body", async () => {
  const { api, open, settle } = createWriters();
  const tab = open();
  tab.store.apply(wholeState(10, { "O-1": { stage: "billed" } }));
  api.answer(201, { cursor: cursorAt(12), ids: [cursorAt(12)] });
  const sent = tab.enqueue(order(1, { entity: "order:O-1", optimistic: { stage: "paid" } }));
  await settle();
  assert.equal((await outcome(sent)).value.cursor, cursorAt(12));
  tab.store.apply(orderChanged(11, "O-1", { stage: "x" }));
  assert.equal(tab.order().stage, "paid");
});

test("a refused request is rolled back, and those after it stay", async () => {
  const { api, open, settle } = createWriters();
  const tab = open();
  tab.store.apply(wholeState(10, { "O-1": { stage: "billed" } }));
  api.answer(409, { detail: "closed" });
  api.answerLater();
  tab.enqueue(order(1, { entity: "order:O-1", optimistic: { stage: "paid", note: "a" } }));
  tab.enqueue(order(2, { entity: "order:O-1", optimistic: (data) => ({ ...data, note: `${data.note}b` }) }));
  assert.deepEqual(tab.order(), { stage: "paid", note: "ab" });
  await settle();
  assert.deepEqual(tab.order(), { stage: "billed", note: "undefinedb" });
});

test("what waits over a reload shows again, until it is sent", async () => {
  const { api, open, settle, advance } = createWriters();
  api.network = "down";
  const first = open();
  first.enqueue(order(1, { entity: "order:O-1", optimistic: { stage: "paid" } }));
  await settle();
  first.tab.kill();
  const second = open();
  second.store.apply(wholeState(10, { "O-1": { stage: "billed" } }));
  await settle();
  assert.equal(second.order().stage, "paid");
  api.network = "up";
  api.answer(200, {}, { "Sync-Cursor": cursorAt(10) });
  await advance(10_000);
  assert.equal(second.order().stage, "billed");
});

test("a batch goes in order, settles as one, and says which failed", async () => {
  const { api, open, settle, kept } = createWriters();
  const tab = open();
  tab.store.apply(wholeState(10, { "O-1": { stage: "a" }, "O-2": { stage: "a" } }));
  api.answer(200);
  api.answer(422, { detail: "no" });
  const respond = api.answerLater();
  const change = (id) => order(id, { entity: `order:${id}`, optimistic: { stage: "b" } });
  const batch = tab.batch([change("O-1"), change("O-2"), order(3)]);
  const after = tab.enqueue(order(4));
  assert.equal(kept().length, 0);
  await settle();
  assert.equal(kept().length, 2);
  assert.equal(tab.order("O-2").stage, "b");
  assert.equal(await outcome(batch), "pending");
  respond(200);
  await settle();
  assert.deepEqual(api.bodies.map(({ n }) => n), ["O-1", "O-2", 3, 4]);
  assert.deepEqual((await outcome(batch)).value.map(({ ok, status }) => [ok, status]), [[true, 200], [false, 422], [true, 200]]);
  assert.deepEqual([tab.order("O-1").stage, tab.order("O-2").stage], ["b", "a"]);
  assert.ok((await outcome(after)).value.ok);
  assert.equal(tab.told.length, 1);
});

test("a batch with a request that can't be is refused whole, and shows nothing", async () => {
  const { api, open, settle, kept } = createWriters();
  const tab = open();
  const good = order(1, { entity: "order:O-1", optimistic: { stage: "b" } });
  for (const bad of [order(2, { entity: "order", optimistic: {} }), order(2, { entity: "order:O-2", optimistic: (data) => data.stage })]) {
    assert.ok((await outcome(tab.batch([good, bad]))).error instanceof TypeError);
    assert.equal(tab.order(), undefined);
  }
  await settle();
  assert.deepEqual([kept(), api.requests], [[], []]);
});

test("who hears of a refusal sees the change rolled back", async () => {
  const { api, open, settle } = createWriters();
  const seen = [];
  const tab = open({ emit: () => seen.push(tab.order()) });
  api.answer(422);
  tab.enqueue(order(1, { entity: "order:O-1", optimistic: { stage: "b" } }));
  await settle();
  assert.deepEqual(seen, [undefined]);
});

test("where the lock can't be had, the next request asks for it again", async (t) => {
  const { api, open, settle } = createWriters();
  let fails = 2;
  const ofTab = open().tab.environment.locks;
  const locks = { request: (...given) => (fails-- > 0 ? Promise.reject(new DOMException("no", "SecurityError")) : ofTab.request(...given)) };
  const tab = open({ environment: { locks } });
  const reports = [];
  t.mock.method(console, "error", (error) => reports.push(error.name));
  await settle();
  tab.enqueue(order(1));
  await settle();
  tab.enqueue(order(2));
  await settle();
  assert.deepEqual(api.bodies, [{ n: 1 }, { n: 2 }]);
  assert.deepEqual(reports, ["SecurityError", "SecurityError"]);
});

test("a batch is told of once when it is made, and once when it is settled", async () => {
  const { api, open, settle } = createWriters();
  let told = 0;
  const tab = open({ changed: () => (told += 1) });
  const respond = api.answerLater();
  api.answer(422);
  api.answer(422);
  tab.batch([1, 2, 3].map((n) => order(n, { entity: `order:O-${n}`, optimistic: { n } })));
  await settle();
  assert.equal(told, 1);
  respond(409);
  await settle();
  assert.equal(told, 2);
});

test("two syncs of one page and user send nothing twice, and both know what came of it", async () => {
  const { api, open, settle, kept } = createWriters();
  const one = open();
  const other = open({ tab: one.tab });
  await settle();
  api.answer(422);
  const refused = one.enqueue(order(1));
  const sent = other.enqueue(order(2));
  await settle();
  assert.equal((await outcome(refused)).error.status, 422);
  assert.ok((await outcome(sent)).value.ok);
  assert.deepEqual([api.bodies, kept()], [[{ n: 1 }, { n: 2 }], []]);
});

test("a batch that is cut off goes on where it was", async () => {
  const { api, open, settle } = createWriters();
  const first = open();
  api.answer(200);
  api.answerLater();
  first.batch([order(1), order(2), order(3)]);
  await settle();
  first.tab.kill();
  open();
  await settle();
  assert.deepEqual(api.bodies.map(({ n }) => n), [1, 2, 2, 3]);
});

test("closing keeps what waits for the next visit, and rejects its promises", async () => {
  const { api, open, settle, kept, clock } = createWriters();
  api.network = "down";
  const tab = open();
  await settle();
  const sent = tab.enqueue(order(1));
  await settle();
  tab.stop();
  await settle();
  assert.match((await outcome(sent)).error.message, /closed/);
  assert.match((await outcome(tab.enqueue(order(2)))).error.message, /closed/);
  assert.equal(kept().length, 1);
  assert.equal(clock.pending(), 0);
  api.network = "up";
  open();
  await settle();
  assert.equal(api.requests.length, 1);
});

test("optimistic() shows the change while its own write is under way, and rolls it back where that fails", async () => {
  const { open, settle } = createWriters();
  const tab = open();
  tab.store.apply(wholeState(10, { "O-1": { stage: "billed" } }));
  const responses = [new Response("{}", { status: 409 }), new Error("offline"), { cursor: cursorAt(11) }];
  for (const response of responses.slice(0, 2)) {
    const write = async () => {
      if (response instanceof Error) throw response;
      return response;
    };
    const done = tab.optimistic("order:O-1", { stage: "paid" }, { write });
    assert.equal(tab.order().stage, "paid");
    await settle();
    assert.ok((await outcome(done)).error instanceof Error);
    assert.equal(tab.order().stage, "billed");
  }
  const done = tab.optimistic("order:O-1", { stage: "paid" }, { write: async () => responses[2] });
  await settle();
  assert.equal((await outcome(done)).value, responses[2]);
  assert.equal(tab.order().stage, "paid");
  tab.store.apply(orderChanged(11, "O-1", { stage: "settled" }));
  assert.equal(tab.order().stage, "settled");
});

test("optimistic() does not write on a base that the server has moved on from", async () => {
  const { open } = createWriters();
  const tab = open();
  tab.store.apply(wholeState(10, { "O-1": { stage: "billed", version: 4 } }));
  const told = [];
  let written = 0;
  const done = tab.optimistic(
    "order:O-1",
    { stage: "paid" },
    { write: () => (written += 1), conflict: "version", base: { version: 3 }, onConflict: (...both) => told.push(both) },
  );
  assert.equal((await outcome(done)).error.name, "ConflictError");
  assert.deepEqual([written, told], [0, [[{ stage: "billed", version: 4 }, { stage: "paid", version: 3 }]]]);
});

test("a request that is tried for hours leaves nothing behind at what would end it", async () => {
  const { api, open, settle, advance } = createWriters();
  // Node's word where more than ten listen to one signal.
  const warnings = [];
  const warn = (warning) => warnings.push(warning.message);
  process.on("warning", warn);
  api.network = "down";
  open().enqueue(order(1));
  await settle();
  await advance(3_600_000);
  process.off("warning", warn);
  assert.deepEqual(warnings, []);
});

for (const [away, back] of [["pagehide", "pageshow"], ["freeze", "resume"]]) {
  test(`the only tab goes on by itself where it was, after ${away} and ${back}`, async () => {
    const { api, open, settle } = createWriters();
    const { enqueue, tab } = open();
    api.answerLater();
    const sent = enqueue(order(1));
    await settle();
    tab.page.fire(away);
    await settle();
    assert.equal(await outcome(sent), "pending");
    tab.page.fire(back, { persisted: true });
    await settle();
    assert.ok((await outcome(sent)).value.ok);
    assert.equal(api.keys[0], api.keys[1]);
  });
}
