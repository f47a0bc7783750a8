// The client of a Tidegate gateway. What it takes and gives is in tidegate.d.ts.

import { createConnection } from "./parts/connection.js";
import { createEnvironment } from "./parts/environment.js";
import { createMetrics } from "./parts/metrics.js";
import { followPage } from "./parts/page.js";
import { createChannel, createPresence } from "./parts/presence.js";
import { selectionParams } from "./parts/selection.js";
import { readSettings } from "./parts/settings.js";
import { health } from "./parts/states.js";
import { createHandlers, createStore } from "./parts/store.js";
import { createTelemetry } from "./parts/telemetry.js";
import { claimsOf, createTokens } from "./parts/tokens.js";

const MOST_BUFFERED = 10000;
const INITIAL = Object.freeze({ state: "initialized", transport: "sse", error: null, modes: {}, reason: null });

export function createSync(options = {}) {
  const environment = createEnvironment(options);
  const settings = readSettings(options, environment);
  const tokens = createTokens({ getToken: settings.getToken, environment });
  const store = createStore({ historyLimit: settings.eventHistoryLimit, keepState: settings.state });
  const metrics = createMetrics({ environment, store });
  const handlers = createHandlers();
  let connection = null;
  let unfollow = () => {};
  let status = INITIAL;
  let snapshot = null;
  let life = 0;
  let reopening = false;

  // One call for all that one task brings.
  const invalidate = () => {
    if (snapshot) queueMicrotask(() => handlers.emit("change"));
    snapshot = null;
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

  const open = () => {
    const current = createConnection({ settings, environment, store, tokens, changed: (next) => connection === current && changed(next) });
    connection = current;
    unfollow = followPage(environment.page, connection);
    connection.start();
  };
  const shut = () => {
    unfollow();
    connection?.stop();
    connection = null;
  };
  const begin = async () => {
    life += 1;
    const mine = life;
    if (mine === life) open();
  };

  // Where a stream selects more or less than before. What is asked for in one task makes one new stream.
  const reopen = () => {
    if (!connection || reopening) return;
    reopening = true;
    queueMicrotask(() => {
      reopening = false;
      if (!connection) return;
      shut();
      open();
    });
  };
  const select = (kind, name) => {
    settings[kind].push(name);
    reopen();
    return () => {
      settings[kind].splice(settings[kind].indexOf(name), 1);
      reopen();
    };
  };
  const room = { store, request, select, isUp: () => status.state === "connected" && status.transport !== "poll" };

  const close = () => {
    life += 1;
    shut();
    changed({ ...status, state: "disconnected" });
    handlers.emit("close");
  };

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
    presence(channel, { userId, meta } = {}) {
      if (userId && !settings.getToken) settings.clientId = userId;
      return createPresence(room, channel, meta);
    },
    channel: (name) => createChannel(room, name),
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

  store.applied(invalidate);
  queueMicrotask(() => {
    if (life === 0) begin();
  });
  return sync;
}
