// A connection with its store, over the model gateway and a clock turned by hand.

import { createConnection } from "../../../gateway/static/parts/connection.js";
import { createEnvironment } from "../../../gateway/static/parts/environment.js";
import { createTokens } from "../../../gateway/static/parts/tokens.js";
import { createStore } from "../../../gateway/static/parts/store.js";
import { createClock } from "./clock.js";
import { createGateway } from "./gateway.js";

/** Storage as a browser has it. */
export function createStorage() {
  const items = new Map();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, String(value)),
    removeItem: (key) => void items.delete(key),
    key: (at) => [...items.keys()][at] ?? null,
    get length() {
      return items.size;
    },
  };
}

export const SETTINGS = {
  baseUrl: "http://gateway.test",
  components: [],
  entities: [],
  eventTypes: [],
  filter: [],
  state: false,
  getToken: null,
  autoReconnect: true,
  maxReconnectAttempts: Infinity,
  reconnectDelay: 1000,
  clientId: "browser-1",
  clientVersion: "0.1.0",
  credentials: "same-origin",
  hints: "off",
  presence: [],
  channels: [],
};

/** Everything that a test of a connection looks at; `events` are the data of what was let through, in order. */
export function createWorld({ settings = {}, gateway: options = {}, ...given } = {}) {
  const clock = given.clock ?? createClock();
  const gateway = given.gatewayMade ?? createGateway({ clock, ...options });
  const storage = given.storage ?? createStorage();
  const store = given.store ?? createStore({ keepState: settings.state });
  const environment = createEnvironment({
    fetch: gateway.fetch,
    clock,
    storage,
    random: given.random ?? (() => 0.5),
    network: given.network ?? (() => ""),
    page: null,
    locks: null,
    openChannel: null,
  });
  const statuses = [];
  const messages = [];
  store.applied((message) => messages.push(message));
  const connection = createConnection({
    settings: { ...SETTINGS, ...settings },
    environment,
    store,
    tokens: createTokens({ getToken: settings.getToken, environment }),
    changed: (status) => statuses.push(status),
  });
  return {
    clock,
    gateway,
    storage,
    store,
    environment,
    connection,
    statuses,
    messages,
    get status() {
      return connection.status;
    },
    get events() {
      return messages.filter((message) => !message.control).map((message) => message.id);
    },
    types: () => messages.map((message) => message.type),
  };
}
