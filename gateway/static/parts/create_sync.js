// Puts the parts of a sync together, and is its face.

import { createConnection, INITIAL } from "./connection.js";
import { createEnvironment } from "./environment.js";
import { iterate } from "./iteration.js";
import { createMetrics } from "./metrics.js";
import { followPage } from "./page.js";
import { createPersistence } from "./persistence.js";
import { createPresence } from "./presence.js";
import { createRequest } from "./request.js";
import { nameOf as checked, selectionText } from "./selection.js";
import { readSettings } from "./settings.js";
import { health } from "./states.js";
import { createHandlers, createStore, report } from "./store.js";
import { createTelemetry } from "./telemetry.js";
import { claimsOf, createTokens } from "./tokens.js";

// What a stream is asked for beside events: it has no part in what is kept.
const ONLY_OF_STREAMS = { presence: [], channels: [], hints: "off" };

export function createSync(options = {}) {
  const environment = createEnvironment(options);
  const settings = readSettings(options, environment);
  const tokens = createTokens({ getToken: settings.getToken, environment });
  const store = createStore({ historyLimit: settings.eventHistoryLimit, keepState: settings.state });
  const metrics = createMetrics({ environment, store });
  const { locks, openChannel, page } = environment;
  // Pages alone have tabs beside them. Where they can't share, or not load what it takes, each has a stream.
  const sharing = settings.shared && page && openChannel && import("./shared.js").catch(() => null);
  const handlers = createHandlers();
  let connection = null;
  let persistence = null;
  let unfollow = null;
  let uncount = null;
  let writes = null;
  let loading = null;
  let user = null;
  let selected = "";
  let named = "";
  let status = INITIAL;
  let snapshot = null;
  let isTelling = false;
  let life = 0;
  let createShared = null;

  // Tells once of all that one task brings.
  const invalidate = () => {
    snapshot = null;
    if (isTelling) return;
    isTelling = true;
    queueMicrotask(() => {
      isTelling = false;
      handlers.emit("change");
    });
  };

  const ask = createRequest({ settings, environment, tokens });
  const send = (method, path, body) =>
    ask(path, new URLSearchParams({ clientId: settings.clientId }), { method, body: JSON.stringify(body) });
  const follow = settings.telemetry ? createTelemetry(settings, (body) => send("POST", "telemetry", body)) : () => {};

  const changed = (next) => {
    status = next;
    metrics.follow(status);
    follow(status);
    // Where that fails it is loaded once it is wanted, or at the next change: nothing is amiss for the page.
    if (status.state === "connected") loadWrites().catch(() => {});
    invalidate();
  };

  const nameOf = (without) => `${encodeURIComponent(user)}:${settings.baseUrl}?${selectionText(settings, without)}`;
  const connect = (tell) => createConnection({ settings, environment, store, tokens, changed: tell });

  const open = () => {
    const tell = (next) => connection === current && changed(next);
    const current = createShared
      ? createShared({ name: `tidegate:${nameOf()}`, environment, store, connect, changed: tell })
      : connect(tell);
    connection = current;
    selected = selectionText(settings);
    unfollow = createShared ? null : followPage(page, current);
    current.start();
  };

  const shut = () => {
    const last = connection;
    connection = null;
    unfollow?.();
    last?.stop();
  };

  const begin = async () => {
    life += 1;
    const mine = life;
    named = settings.clientId;
    user = settings.userId || (settings.getToken ? null : settings.clientId);
    // Where no token is to be had the connection says so, and tries again.
    user ??= claimsOf(await tokens.get().catch(() => null)).sub ?? null;
    createShared = (user && locks && (await sharing)?.createShared) || null;
    if (mine !== life) return;
    if (sharing && !createShared) {
      const { origin } = new URL(settings.baseUrl, globalThis.location?.href);
      sharing.then((part) => {
        if (mine === life) uncount = part?.countTabs(environment, origin);
      });
    }
    if (user) {
      persistence = createPersistence({
        environment,
        isEnabled: settings.enablePersistence,
        key: `tidegate:sync:${nameOf(ONLY_OF_STREAMS)}`,
        store,
        forgotten: (at) => close({ forget: true }, at),
      });
      if (!store.cursor) persistence.load();
    }
    open();
  };

  const close = ({ forget = false } = {}, at) => {
    life += 1;
    shut();
    uncount?.();
    uncount = null;
    if (forget) {
      at = persistence?.forget(at);
      store.restore();
    }
    persistence?.stop();
    (forget ? loadWrites() : loading)?.then((part) => {
      if (forget) part.forget(at);
      part.stop();
      if (writes === part) writes = null;
    }, report);
    persistence = loading = null;
    status = Object.freeze({ ...status, state: "disconnected" });
    metrics.follow(status);
    invalidate();
    handlers.emit("end");
  };

  // Where a stream is to select more or less. What one task asks for makes one new stream, at the same cursor.
  const reopen = () =>
    queueMicrotask(() => {
      const isOther = named !== settings.clientId;
      if (!connection || (!isOther && selected === selectionText(settings))) return;
      if (isOther) {
        shut();
        persistence?.stop();
        begin();
      } else if (connection.renew) {
        selected = selectionText(settings);
        connection.renew();
      } else {
        shut();
        open();
      }
    });

  const select = (kind, name, left) => {
    let isIn = true;
    settings[kind].push(checked(kind)(name));
    reopen();
    return () => {
      if (isIn) settings[kind].splice(settings[kind].indexOf(name), 1);
      isIn = false;
      reopen();
      queueMicrotask(() => settings[kind].includes(name) || left?.());
    };
  };

  // Whatever polls says why, also where another tab does it.
  const isUp = () => status.state === "connected" && !status.reason;
  const rooms = createPresence({ store, send, select, isUp });

  // Handlers that are set at once miss nothing.
  const begun = Promise.resolve().then(() => life || begin());

  // Once there is a connection: whoever is offline later can't load it any more.
  const loadWrites = () =>
    (loading ??= Promise.all([import("./writes.js"), begun]).then(
      ([{ createWrites }]) =>
        (writes = createWrites({ environment, settings, store, user, tokens, emit: store.emit, changed: invalidate })),
      (error) => {
        loading = null;
        throw error;
      },
    ));
  // At once where it can be: what is written shows before the call is over.
  const write = (name) => (...given) => (writes ? writes[name](...given) : loadWrites().then((part) => part[name](...given)));

  store.applied(() => {
    invalidate();
    if (connection?.leading !== false) persistence?.saveSoon();
  });

  const sync = {
    on: store.on,
    onChange: (fn) => handlers.on("change", fn),
    subscribe: (filter, fn) => (fn ? store.subscribe(filter, fn) : store.subscribe({}, filter)),
    [Symbol.asyncIterator]: () => iterate(sync.subscribe, (fn) => handlers.on("end", fn)),

    getSnapshot() {
      snapshot ??= Object.freeze(Object.fromEntries(Object.entries(readable).map(([name, get]) => [name, get()])));
      return snapshot;
    },
    entities: (type) => (writes ?? { view: store.entities }).view(type),
    enqueue: write("enqueue"),
    batch: write("batch"),
    optimistic: write("optimistic"),

    autoRefresh(entity, refetch, how = {}) {
      let isOver = false;
      let stop = () => {};
      const seen = store.counters.totalEvents;
      settings.hints = "with";
      settings.debounceMs ||= how.debounceMs;
      settings.maxWaitMs ||= how.maxWaitMs;
      reopen();
      import("./auto_refresh.js").then(({ autoRefresh, isTimedAs }) => {
        const hinted = () => isUp() && isTimedAs(settings, how);
        const missed = store.counters.totalEvents > seen;
        if (!isOver) stop = autoRefresh({ environment, store, hinted, report, missed }, entity, refetch, how);
      }, report);
      return () => {
        isOver = true;
        stop();
      };
    },

    presence(channel, { userId, meta } = {}) {
      if (userId && !settings.getToken) settings.clientId = userId;
      return rooms.presence(channel, meta);
    },
    channel: rooms.channel,

    reconnect: () => (connection ? connection.reconnect() : begin()),
    close,
    signOut: () => close({ forget: true }),
  };

  const readable = {
    state: () => status.state,
    transport: () => status.transport,
    health: () => health(status.state, status.reason),
    error: () => status.error,
    modes: () => status.modes,
    status: () => status,
    clientId: () => settings.clientId,
    cursor: () => store.cursor,
    complete: () => store.complete,
    events: () => store.events,
    lastEvent: () => store.counters.lastEvent,
    metrics: metrics.read,
  };
  for (const [name, get] of Object.entries(readable)) Object.defineProperty(sync, name, { get, enumerable: true });
  return sync;
}
