// The options of createSync, checked, with what they are by default.

import { nameOf, selector } from "./selection.js";

const CLIENT_ID = "tidegate:client-id";

const isText = (value) => typeof value === "string" && value !== "";
const text = [isText, "text that is not empty"];
const flag = [(value) => typeof value === "boolean", "true or false"];
const number = [(value) => typeof value === "number" && value >= 0, "a number, 0 or more"];
const list = [(value) => value.every(isText), "a text or a list of texts"];

// What each has to be, and what it is by default. `clientVersion` is package.json's.
const OPTIONS = {
  baseUrl: [(value) => typeof value === "string", "an origin, with a path or not", ""],
  components: [...list, []],
  entities: [...list, []],
  eventTypes: [...list, []],
  filter: [...list, []],
  presence: [...list, []],
  channels: [...list, []],
  state: [...flag, false],
  hints: [...flag, false],
  debounceMs: [...number],
  maxWaitMs: [...number],
  getToken: [(value) => typeof value === "function", "a function that gives a token or its promise", null],
  withCredentials: [...flag, false],
  autoReconnect: [...flag, true],
  maxReconnectAttempts: [...number, Infinity],
  reconnectDelay: [...number, 1000],
  eventHistoryLimit: [...number, 100],
  enablePersistence: [...flag, true],
  telemetry: [...flag, true],
  shared: [...flag, true],
  userId: [...text, null],
  clientId: [...text],
  clientVersion: [...text, "0.1.0"],
};
const OF_THE_ENVIRONMENT = ["fetch", "clock", "storage", "random", "locks", "openChannel", "page", "network"];

// The same at each visit, so that a cohort that this browser is in keeps it.
const ownClientId = (storage) => {
  const known = storage?.getItem(CLIENT_ID);
  if (known) return known;
  const id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  storage?.setItem(CLIENT_ID, id);
  return id;
};

export const readSettings = (options, { storage }) => {
  const settings = {};
  for (const name of Object.keys(options)) {
    if (!(name in OPTIONS) && !OF_THE_ENVIRONMENT.includes(name)) throw new TypeError(`createSync has no option ${name}: look at tidegate.d.ts`);
  }
  for (const [name, [fits, what, usual]] of Object.entries(OPTIONS)) {
    const given = options[name] ?? usual;
    const value = Array.isArray(usual) ? [].concat(given) : given;
    if (value !== usual && !fits(value)) throw new TypeError(`createSync: ${name} has to be ${what}`);
    settings[name] = value;
  }
  selector(settings);
  ["components", "presence", "channels"].forEach((name) => settings[name].forEach(nameOf(name)));
  settings.baseUrl = settings.baseUrl.replace(/\/+$/, "");
  settings.hints = settings.hints ? "with" : "off";
  settings.credentials = settings.withCredentials ? "include" : "same-origin";
  settings.clientId ??= ownClientId(storage);
  return settings;
};
