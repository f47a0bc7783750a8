// What the client asks of the browser, each replaceable; what is missing or forbidden is null.

/** What `get` gives, null where the browser has none or forbids it (a SecurityError of a sandboxed frame). */
function allowed(get) {
  try {
    return get() ?? null;
  } catch {
    return null;
  }
}

// What is given is called as a method of what it was given with, what is the browser's own without one.
function createClock(given = {}) {
  const or = (name, usual) => (...all) => (given[name] ? given[name](...all) : usual(...all));
  const now = or("now", () => performance.now());
  return {
    now,
    wall: given.now ? or("wall", now) : or("wall", Date.now),
    setTimeout: or("setTimeout", (run, ms) => setTimeout(run, ms)),
    clearTimeout: or("clearTimeout", (id) => clearTimeout(id)),
  };
}

/** Storage whose every access may fail: then it is as if it were empty, and `setItem` gives null. */
function createStorage(storage) {
  // Of one that can't list what it holds only what was written here is known.
  const written = new Set();
  return (
    storage && {
      getItem: (key) => allowed(() => storage.getItem(key)),
      setItem: (key, value) => allowed(() => written.add(key) && (storage.setItem(key, value) ?? true)),
      removeItem: (key) => allowed(() => storage.removeItem(key)),
      keys: () => allowed(() => (storage.key ? Array.from(storage, (_, at) => storage.key(at)) : [...written])) ?? [],
    }
  );
}

function createPage() {
  return {
    hidden: () => document.visibilityState === "hidden",
    on(type, run) {
      // Some are fired at the document and do not bubble: on their way down all of them pass the window.
      addEventListener(type, run, true);
      return () => removeEventListener(type, run, true);
    },
  };
}

export function createEnvironment(options = {}) {
  const or = (given, get) => (given === undefined ? allowed(get) : given);
  return {
    // Bound late and called bare: a page may replace `fetch`, and calls it with its own `this`.
    fetch: (url, request) => (options.fetch ?? fetch)(url, request),
    clock: createClock(options.clock),
    random: options.random ?? Math.random,
    storage: createStorage(or(options.storage, () => localStorage)),
    locks: or(options.locks, () => navigator.locks),
    openChannel: or(options.openChannel, () => BroadcastChannel && ((name) => new BroadcastChannel(name))),
    page: or(options.page, () => document && createPage()),
    // Chromium alone tells, and `effectiveType` is a measured speed, no network: it changes while nothing does.
    network: options.network ?? (() => globalThis.navigator?.connection?.type ?? ""),
  };
}
