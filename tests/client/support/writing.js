// Tabs of one browser that write to one API, each with a store of its own.

import { createStore } from "../../../gateway/static/parts/store.js";
import { createTokens } from "../../../gateway/static/parts/tokens.js";
import { createWrites } from "../../../gateway/static/parts/writes.js";
import { createBrowser } from "./tabs.js";

/**
 * An API behind an injected fetch. `network` is "up", "down" (rejects) or "hung" (never settles); `answer(status, body,
 * headers)` is for the next request; `answerLater()` gives a function that answers the next one; `always(request)` gives
 * the answer of all others, `{status, body, headers}`, or `{lost: true}`: it arrived, and nothing comes back. `requests` is what arrived: {method, url, key, body, headers, credentials, tab, at}.
 */
export function createApi(clock) {
  const answers = [];
  const api = {
    network: "up",
    requests: [],
    always: null,
    answer: (status, body = {}, headers = {}) => void answers.push({ status, body, headers }),
    answerLater() {
      let respond;
      answers.push(new Promise((resolve) => (respond = (status, body = {}, headers = {}) => resolve({ status, body, headers }))));
      return respond;
    },
    get keys() {
      return api.requests.map(({ key }) => key);
    },
    get bodies() {
      return api.requests.map(({ body }) => body);
    },
    fetchOf: (tab) => (url, { method, headers, body, credentials, signal }) =>
      new Promise((resolve, reject) => {
        const refuse = (error) => tab.task(() => reject(error));
        signal.addEventListener("abort", () => refuse(signal.reason));
        if (api.network === "down") refuse(new TypeError("fetch failed"));
        if (api.network !== "up") return;
        const parsed = body === undefined ? undefined : JSON.parse(body);
        const request = { method, url, key: headers["Idempotency-Key"], body: parsed, headers, credentials, tab, at: clock.now() };
        api.requests.push(request);
        Promise.resolve(answers.shift() ?? api.always?.(request) ?? { status: 200 }).then((answer) => {
          const text = answer.body === null ? null : JSON.stringify(answer.body ?? {});
          if (answer.lost) refuse(new TypeError("network error"));
          else tab.task(() => resolve(new Response(text, { status: answer.status, headers: answer.headers })));
        });
      }),
  };
  return api;
}

/** The promise, which may be rejected before the test looks. */
function watched(promise) {
  promise.catch(() => {});
  return promise;
}

/** A browser whose tabs write. `open()` gives a tab's writes, with `store`, `told` (the events "outbox") and `page`. */
export function createWriters({ user = "u-1", getToken = null, baseUrl = "http://gateway.test", page } = {}) {
  const browser = createBrowser();
  const api = createApi(browser.clock);
  const open = (options = {}) => {
    const tab = options.tab ?? browser.open();
    const environment = { ...tab.environment, ...options.environment, fetch: api.fetchOf(tab) };
    const store = createStore({ keepState: true });
    const told = [];
    const settings = { baseUrl, credentials: "same-origin", getToken };
    const writes = createWrites({
      environment,
      settings,
      store,
      user: options.user === undefined ? user : options.user,
      tokens: createTokens({ getToken, environment }),
      emit: options.emit ?? ((type, data) => told.push({ type, ...data })),
      changed: options.changed ?? (() => {}),
    });
    return {
      ...writes,
      writes,
      enqueue: (request) => watched(writes.enqueue(request)),
      batch: (requests) => watched(writes.batch(requests)),
      optimistic: (...change) => watched(writes.optimistic(...change)),
      store,
      told,
      tab,
      order: (id = "O-1") => writes.view("order").get(id),
    };
  };
  const kept = () =>
    Array.from({ length: browser.storage.length }, (_, at) => browser.storage.key(at)).filter((key) =>
      key.startsWith("tidegate:outbox:"),
    );
  return { ...browser, browser, api, open, kept };
}

/** Where a promise stands now: {value}, {error} or "pending". */
export async function outcome(promise) {
  const state = { now: "pending" };
  promise.then(
    (value) => (state.now = { value }),
    (error) => (state.now = { error }),
  );
  await new Promise((resolve) => setImmediate(resolve));
  return state.now;
}

export const order = (n, members = {}) => ({ path: "/api/v1/orders", body: { n }, ...members });
