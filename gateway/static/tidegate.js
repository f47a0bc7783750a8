// The client of a Tidegate gateway. What it takes and gives is in tidegate.d.ts.

import { createConnection } from "./parts/connection.js";
import { createEnvironment } from "./parts/environment.js";
import { createMetrics } from "./parts/metrics.js";
import { followPage } from "./parts/page.js";
import { createPersistence } from "./parts/persistence.js";
import { createPresence } from "./parts/presence.js";
import { selectionText } from "./parts/selection.js";
import { readSettings } from "./parts/settings.js";
import { createShared } from "./parts/shared.js";
import { health } from "./parts/states.js";
import { createHandlers, createStore } from "./parts/store.js";
import { createTelemetry } from "./parts/telemetry.js";
import { claimsOf, createTokens } from "./parts/tokens.js";

const MOST_BUFFERED = 10000;
const INITIAL = Object.freeze({ state: "initialized", transport: "sse", error: null, modes: {}, clientId: null, heartbeatMs: null, firstEventMs: null, reason: null });
const NOTHING = { cursors: { "": null }, lanes: {}, entities: {}, complete: false };
// What a stream is asked for beside events: it has no part in what is kept.
const ONLY_OF_STREAMS = { presence: [], channels: [], hints: "off" };

export function createSync(options = {}) {
  const environment = createEnvironment(options);
  const settings = readSettings(options, environment);
  const tokens = createTokens({ getToken: settings.getToken, environment });
  const store = createStore({ historyLimit: settings.eventHistoryLimit, keepState: settings.state });
  const metrics = createMetrics({ environment, store });
  const handlers = createHandlers();
  let connection = null;
  let persistence = null;
  let unfollow = null;
  let user = null;
  let selected = "";
  let status = INITIAL;
  let snapshot = null;
  let isTelling = false;
  let life = 0;

  // Once for all that one task brings.
  const invalidate = () => {
    snapshot = null;
    if (isTelling) return;
    isTelling = true;
    queueMicrotask(() => {
      isTelling = false;
      handlers.emit("change");
    });
  };

  const request = async (method, path, body) => {
    const token = await tokens.get();
    const response = await environment.fetch(`${settings.baseUrl}/api/v1/sync/${path}?clientId=${encodeURIComponent(settings.clientId)}`, {
      method,
      headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) },
      body: JSON.stringify(body),
      credentials: settings.credentials,
      keepalive: true,
    });
    if (response.ok) return;
    const problem = await response.json().catch(() => ({}));
    throw Object.assign(new Error(problem.detail ?? `The gateway answered ${response.status}.`), { status: response.status, problem });
  };
  const report = createTelemetry(settings, (body) => request("POST", "telemetry", body));

  const changed = (next) => {
    status = next;
    metrics.follow(status);
    if (settings.telemetry) report(status);
    invalidate();
  };

  const connect = (tell) => createConnection({ settings, environment, store, tokens, changed: tell });
  const open = () => {
    const { locks, openChannel, page } = environment;
    const tell = (next) => connection === current && changed(next);
    selected = selectionText(settings);
    const name = `tidegate:${encodeURIComponent(user)}:${settings.baseUrl}?${selected}`;
    const isShared = settings.shared && user && locks && openChannel;
    const current = isShared ? createShared({ name, environment, store, connect, changed: tell }) : connect(tell);
    connection = current;
    unfollow = isShared ? null : followPage(page, current);
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
    user = settings.userId ?? (settings.getToken ? null : settings.clientId);
    // Where it can't be had the connection says so, and tries again.
    user ??= claimsOf(await tokens.get().catch(() => null)).sub ?? null;
    if (mine !== life) return;
    if (settings.enablePersistence && user) {
      const key = `tidegate:sync:${encodeURIComponent(user)}:${settings.baseUrl}?${selectionText(settings, ONLY_OF_STREAMS)}`;
      persistence = createPersistence({ environment, key, store, forgotten: () => close({ forget: true }) });
      if (!store.cursor) persistence.load();
    }
    open();
  };

  const close = ({ forget = false } = {}) => {
    life += 1;
    shut();
    if (forget) {
      persistence?.forget();
      store.restore(NOTHING);
    }
    persistence?.stop();
    persistence = null;
    changed(Object.freeze({ ...status, state: "disconnected" }));
    handlers.emit("close");
  };

  // Where a stream is to select more or less. What one task asks for makes one new stream, at the same cursor.
  const reopen = () =>
    queueMicrotask(() => {
      if (!connection || selected === selectionText(settings)) return;
      if (connection.renew) {
        selected = selectionText(settings);
        connection.renew();
      } else {
        shut();
        open();
      }
    });
  const select = (kind, name, left) => {
    let isIn = true;
    settings[kind].push(name);
    reopen();
    return () => {
      if (isIn) settings[kind].splice(settings[kind].indexOf(name), 1);
      isIn = false;
      queueMicrotask(() => settings[kind].includes(name) || left?.());
      reopen();
    };
  };
  const isUp = () => status.state === "connected" && status.transport !== "poll";
  const rooms = createPresence({ store, request, select, isUp });

  const sync = {
    on: store.on,
    subscribe: (filter, fn) => (fn ? store.subscribe(filter, fn) : store.subscribe({}, filter)),
    onChange: (fn) => handlers.on("change", fn),
    getSnapshot() {
      const { state, transport, error, modes } = status;
      snapshot ??= Object.freeze({ state, transport, error, modes, health: sync.health, ...store.snapshot(), metrics: metrics.read() });
      return snapshot;
    },
    entities: store.entities,
    reconnect: () => (connection ? connection.reconnect() : begin()),
    close,
    signOut: () => close({ forget: true }),
    presence(channel, { userId, meta } = {}) {
      if (userId && !settings.getToken) settings.clientId = userId;
      return rooms.presence(channel, meta);
    },
    channel: rooms.channel,
    get state() {
      return status.state;
    },
    get transport() {
      return status.transport;
    },
    get error() {
      return status.error;
    },
    get status() {
      return status;
    },
    get health() {
      return health(status.state, status.transport);
    },
    get clientId() {
      return settings.clientId;
    },
    get cursor() {
      return store.cursor;
    },
    get complete() {
      return store.complete;
    },
    get events() {
      return store.events;
    },
    get metrics() {
      return metrics.read();
    },
    [Symbol.asyncIterator]() {
      const buffer = [];
      let isLost = false;
      let isOver = false;
      let wake = () => {};
      const offs = [
        store.subscribe({}, (event) => {
          isLost ||= buffer.length >= MOST_BUFFERED;
          if (!isLost) buffer.push(event);
          wake();
        }),
        handlers.on("close", () => {
          isOver = true;
          wake();
        }),
      ];
      return (async function* iterate() {
        try {
          for (;;) {
            while (buffer.length) yield buffer.shift();
            if (isLost) throw new Error(`More than ${MOST_BUFFERED} events were waiting, and those after them are lost to this loop: do less in it, or use subscribe.`);
            if (isOver) return;
            await new Promise((resolve) => {
              wake = resolve;
            });
          }
        } finally {
          offs.forEach((off) => off());
        }
      })();
    },
  };

  store.applied(() => {
    invalidate();
    if (connection?.leading !== false) persistence?.saveSoon();
  });
  // Handlers that are set at once miss nothing.
  queueMicrotask(() => life || begin());
  return sync;
}
