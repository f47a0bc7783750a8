// A browser with many tabs in one process: Web Locks with `steal`, channels that clone, and tabs that freeze, thaw, and die.

import { createEnvironment } from "../../../gateway/static/parts/environment.js";
import { createClock } from "./clock.js";
import { createStorage } from "./connected.js";
import { fetchIn } from "./network.js";

const noNetwork = () => Promise.reject(new TypeError("there is no network"));

const forbid = () => {
  throw new DOMException("no", "SecurityError");
};
const STORAGES = {
  null: (storage) => storage,
  full: (storage) => ({ ...storage, setItem: forbid }),
  forbidden: () => new Proxy({}, { get: forbid }),
  absent: () => null,
};

function createLocks() {
  const names = new Map();

  const grant = (request) => {
    const lock = names.get(request.name);
    lock.holder = request;
    request.tab.task(async () => {
      try {
        request.resolve(await request.run({ name: request.name }));
      } catch (error) {
        request.reject(error);
      }
      if (lock.holder === request) {
        free(lock);
      }
    });
  };

  const free = (lock) => {
    lock.holder = null;
    if (lock.queue.length) {
      grant(lock.queue.shift());
    }
  };

  const aborted = () => new DOMException("The lock request was called off.", "AbortError");

  return {
    held: (name) => names.get(name)?.holder?.tab ?? null,
    drop(tab) {
      for (const lock of names.values()) {
        lock.queue = lock.queue.filter((request) => request.tab !== tab);
        if (lock.holder?.tab === tab) {
          free(lock);
        }
      }
    },
    of: (tab) => ({
      request: (name, { steal, signal }, run) =>
        new Promise((resolve, reject) => {
          if (tab.dead) {
            return;
          }
          const lock = names.get(name) ?? { holder: null, queue: [] };
          names.set(name, lock);
          const request = { name, tab, run, resolve, reject };
          signal?.addEventListener("abort", () => {
            if (lock.queue.includes(request)) {
              lock.queue.splice(lock.queue.indexOf(request), 1);
              reject(aborted());
            }
          });
          if (steal && lock.holder) {
            const former = lock.holder;
            former.tab.task(() => former.reject(aborted()));
            grant(request);
          } else {
            lock.queue.push(request);
            if (!lock.holder) {
              grant(lock.queue.shift());
            }
          }
        }),
    }),
  };
}

/** Numbers as random as a test needs them, the same in each run. */
export function createRandom(seed = 1) {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/**
 * A browser; `fault`: its storage is "full", "forbidden" or "absent". `open()` gives a tab: `options` for
 * `createSync`, with `environment` as `createEnvironment` makes it of them, `task(run)` (what the outside does in it, in order), `slowMs` (the least that its timers
 * take, as of a hidden page), `freeze()` and `thaw()` (its tasks and timers wait, and the page is told of nothing),
 * `kill()` (as the crash of its process: locks fall free), and `page.fire(type, event)`. `fault("lose")` or
 * `fault("double")` befalls the next message of a channel.
 */
export function createBrowser({ fault = null, clock = createClock(), fetch = noNetwork } = {}) {
  const storage = STORAGES[fault](createStorage());
  const locks = createLocks();
  const channels = new Set();
  const tabs = [];
  const random = createRandom();
  const faults = [];

  const openTab = () => {
    let waiting = [];
    let draining = false;
    const process = new AbortController();
    const listeners = new Set();
    const cleared = new Set();

    // As in a browser, a timer that is due and still waits for its turn can be cleared.
    const setTimer = (run, ms) => {
      const id = clock.setTimeout(() => tab.task(() => cleared.delete(id) || run()), Math.max(ms, tab.slowMs));
      return id;
    };
    const clearTimer = (id) => {
      clock.clearTimeout(id);
      cleared.add(id);
    };

    const drain = () => {
      draining = false;
      if (!tab.frozen && waiting.length) {
        const run = waiting.shift();
        schedule();
        run();
      }
    };

    const schedule = () => {
      if (!draining && !tab.frozen && waiting.length) {
        draining = true;
        setImmediate(drain);
      }
    };

    const tab = {
      frozen: false,
      dead: false,
      slowMs: 0,
      hidden: false,
      signal: process.signal,
      idle: () => tab.frozen || waiting.length === 0,
      task(run) {
        if (!tab.dead) {
          waiting.push(run);
          schedule();
        }
      },
      freeze() {
        tab.frozen = true;
      },
      thaw() {
        tab.frozen = false;
        schedule();
      },
      kill() {
        tab.dead = true;
        process.abort();
        waiting = [];
        for (const channel of channels) {
          if (channel.tab === tab) {
            channels.delete(channel);
          }
        }
        locks.drop(tab);
      },
      page: {
        hidden: () => tab.hidden,
        on(type, run) {
          const listener = { type, run };
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
        fire(type, event = {}) {
          [...listeners].filter((listener) => listener.type === type).forEach(({ run }) => run(event));
        },
      },
    };

    const openChannel = (name) => {
      const channel = {
        name,
        tab,
        onmessage: null,
        postMessage(data) {
          if (tab.dead) {
            return;
          }
          if (!channels.has(channel)) {
            throw new DOMException("The channel is closed.", "InvalidStateError");
          }
          for (const other of channels) {
            if (other !== channel && other.name === name) {
              const copies = { lose: 0, double: 2 }[faults.shift()] ?? 1;
              for (let i = 0; i < copies; i += 1) {
                const copy = structuredClone(data);
                other.tab.task(() => channels.has(other) && other.onmessage?.({ data: copy }));
              }
            }
          }
        },
        close: () => void channels.delete(channel),
      };
      channels.add(channel);
      return channel;
    };

    tab.options = {
      fetch: fetchIn(tab, fetch),
      clock: { ...clock, setTimeout: setTimer, clearTimeout: clearTimer },
      random,
      storage,
      locks: locks.of(tab),
      openChannel,
      page: tab.page,
    };
    tab.environment = createEnvironment(tab.options);
    tabs.push(tab);
    return tab;
  };

  /** Lets all that is under way come to rest, in all tabs that are not frozen. */
  const settle = async () => {
    for (let calm = 0; calm < 3; calm += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      calm = tabs.every((tab) => tab.idle()) ? calm : -1;
    }
  };

  return {
    clock,
    storage,
    tabs,
    open: openTab,
    settle,
    keys: () => Array.from({ length: storage.length }, (_, at) => storage.key(at)),
    channels: () => channels.size,
    fault: (kind) => void faults.push(kind),
    leader: (name) => locks.held(name),
    async advance(ms) {
      for (let rest = ms; rest > 0; rest -= 500) {
        await settle();
        await clock.advance(Math.min(rest, 500));
      }
      await settle();
    },
  };
}
