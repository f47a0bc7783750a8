// Tabs that share one connection to a log: what the tests of it look at.

import { createShared } from "../../../gateway/static/parts/shared.js";
import { createStore } from "../../../gateway/static/parts/store.js";
import { createLog } from "./log.js";
import { createBrowser } from "./tabs.js";

const NAME = "tidegate:sync:u:orders";

export function createWorld({ state = false, clock, ...environment } = {}) {
  const browser = createBrowser({ clock });
  const log = createLog({ state });

  /** A tab with a store and a share in the connection; `got` is what its handlers saw, `went` what its status was. */
  const open = ({ restored = null } = {}) => {
    const tab = browser.open();
    const store = createStore({ historyLimit: 10_000, keepState: state });
    if (restored) {
      store.restore(restored);
    }
    const began = store.cursor;
    const got = [];
    const went = [];
    store.on("*", (data, type, id) => got.push({ type, id, n: data.data?.n, data }));
    const shared = createShared({
      name: NAME,
      environment: { ...tab.environment, ...environment },
      store,
      connect: log.connect(tab, store),
      changed: (status) => went.push(status),
    });
    tab.task(shared.start);
    return Object.assign(tab, { store, shared, got, went, began, numbers: () => got.flatMap(({ n }) => n ?? []) });
  };

  const leader = () => browser.tabs.find((tab) => !tab.dead && !tab.frozen && tab.shared.leading);
  const followers = () => browser.tabs.filter((tab) => !tab.dead && !tab.frozen && !tab.shared.leading);
  return { ...browser, browser, log, open, leader, followers };
}

/**
 * One that takes part in the channel by hand: `heard`, what was said there, and `say(kind, members)`. Where it leads, it
 * has the lock, and says it with its term; `hellos()` are those that it would have to answer.
 */
export function createVoice(world, { term = "1.hand", from = "hand" } = {}) {
  const tab = world.browser.open();
  const channel = tab.environment.openChannel(NAME);
  const heard = [];
  channel.onmessage = ({ data }) => heard.push(data);
  const status = { state: "connected", transport: "sse", error: null };
  const place = { number: 0, lanes: {}, cursors: { "": "e1.0-0" } };
  const told = { welcome: { to: [], messages: [], greeting: null, people: {} }, beat: { status }, relay: {} };
  return {
    heard,
    hellos: () => heard.filter(({ kind }) => kind === "hello"),
    lead: () => void tab.environment.locks.request(NAME, {}, () => new Promise(() => {})),
    async say(kind, members = {}) {
      channel.postMessage({ kind, term, from, ...place, ...told[kind], ...members });
      await world.settle();
    },
  };
}
