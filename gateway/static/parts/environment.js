// What the client asks of the browser, each replaceable; what is missing or forbidden is null.

/** What `get` gives, null where the browser has none or forbids it (a SecurityError of a sandboxed frame). */
function allowed(get) {
  try {
    return get() ?? null;
  } catch {
    return null;
  }
}

function createClock(given = {}) {
  const now = given.now ?? (() => performance.now());
  return {
    now,
    wall: given.wall ?? given.now ?? (() => Date.now()),
    setTimeout: given.setTimeout ?? ((run, ms) => setTimeout(run, ms)),
    clearTimeout: given.clearTimeout ?? ((id) => clearTimeout(id)),
  };
}

/** Storage whose every access may fail: then it is as if it were empty, and `setItem` gives null. */
function createStorage(storage) {
  return (
    storage && {
      getItem: (key) => allowed(() => storage.getItem(key)),
      setItem: (key, value) => allowed(() => storage.setItem(key, value) ?? true),
      removeItem: (key) => allowed(() => storage.removeItem(key)),
      keys: () => allowed(() => Array.from(storage, (_, at) => storage.key(at))) ?? [],
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
    fetch: options.fetch ?? ((url, request) => fetch(url, request)),
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
