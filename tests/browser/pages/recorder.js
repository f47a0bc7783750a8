// Follows the gateway with the options of the page's address, and keeps all that comes for the test to read.

import { clockOf } from "./clocks.js";

const KEY = "recorder";
const HISTORY = ["state", "transport"];

// What came before a reload is still what this tab was given.
const before = JSON.parse(sessionStorage.getItem(KEY) ?? "null");

globalThis.got = before?.got ?? [];
globalThis.went = before?.went ?? [];
globalThis.loads = (before?.loads ?? 0) + 1;

addEventListener("pagehide", () => sessionStorage.setItem(KEY, JSON.stringify({ got, went, loads })));

addEventListener("pageshow", ({ persisted }) => {
  globalThis.persisted = persisted;
});

export const watch = async ({ from = "", speed = 1, withToken = false, keep = Infinity, ...options }) => {
  const { createSync } = await import(`${from}/static/tidegate.js`);
  globalThis.clock = clockOf(speed);
  if (withToken) {
    options.getToken = () => globalThis.giveToken();
  }
  const sync = createSync({ ...options, baseUrl: options.baseUrl ?? from, clock });
  globalThis.sync = sync;
  sync.on("*", (data, type, id) => {
    got.push({ type, id, n: data?.data?.n ?? null, reason: data?.reason ?? null });
    if (got.length > keep) {
      got.shift();
    }
  });
  const note = () => {
    const now = HISTORY.map((name) => sync[name]).join("/");
    if (now !== went.at(-1)) {
      went.push(now);
    }
  };
  note();
  sync.onChange(note);
  return sync;
};

const options = new URLSearchParams(location.search).get("options");
if (options !== null) {
  watch(JSON.parse(options));
}
