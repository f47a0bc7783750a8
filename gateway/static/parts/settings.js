// The options of createSync, checked, with what they are by default.

import { nameOf, selector } from "./selection.js";

const CLIENT_ID = "tidegate:client-id";
const TEXT = "text";
const FLAG = "true or false";
const NUMBER = "a number, 0 or more";
const LIST = "a text or a list of texts";
const FUNCTION = "a function";
const isText = (value) => typeof value === "string" && value !== "";
const FITS = {
  [TEXT]: isText,
  [FLAG]: (value) => typeof value === "boolean",
  [NUMBER]: (value) => value >= 0 && typeof value === "number",
  [LIST]: (value) => value.every(isText),
  [FUNCTION]: (value) => typeof value === "function",
};
// By what they have to be. `clientVersion` is package.json's.
const OPTIONS = {
  [TEXT]: { baseUrl: "", userId: null, clientId: null, clientVersion: "0.1.0" },
  [FLAG]: {
    state: false,
    hints: false,
    withCredentials: false,
    autoReconnect: true,
    enablePersistence: true,
    telemetry: true,
    shared: true,
  },
  [NUMBER]: {
    maxReconnectAttempts: Infinity,
    reconnectDelay: 1000,
    eventHistoryLimit: 100,
    debounceMs: undefined,
    maxWaitMs: undefined,
  },
  [LIST]: { components: [], entities: [], eventTypes: [], filter: [], presence: [], channels: [] },
  [FUNCTION]: { getToken: null },
};
const OF_THE_ENVIRONMENT = ["fetch", "clock", "storage", "random", "locks", "openChannel", "page", "network"];

// The same at each visit, so that a cohort that this browser is in keeps it.
const ownClientId = (storage) => {
  const known = storage?.getItem(CLIENT_ID);
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const id = known ?? Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (!known) storage?.setItem(CLIENT_ID, id);
  return id;
};

export const readSettings = (options, { storage }) => {
  const settings = {};
  for (const [kind, defaults] of Object.entries(OPTIONS)) {
    for (const [name, usual] of Object.entries(defaults)) {
      const given = options[name] ?? usual;
      const value = kind === LIST ? [given].flat() : given;
      if (value !== usual && !FITS[kind](value)) throw new TypeError(`createSync: ${name} has to be ${kind}.`);
      settings[name] = value;
    }
  }
  const unknown = Object.keys(options).find((name) => !(name in settings) && !OF_THE_ENVIRONMENT.includes(name));
  if (unknown) throw new TypeError(`createSync has no option ${unknown}: tidegate.d.ts has those that there are.`);
  selector(settings);
  for (const name of ["components", "presence", "channels"]) settings[name].forEach(nameOf(name));

  settings.baseUrl = settings.baseUrl.replace(/\/+$/, "");
  settings.hints = settings.hints ? "with" : "off";
  settings.credentials = settings.withCredentials ? "include" : "same-origin";
  settings.clientId ??= ownClientId(storage);
  return settings;
};
