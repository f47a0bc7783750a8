// The options of createSync, checked, with what they are by default.

import { nameOf, selector } from "./selection.js";

const CLIENT_ID = "tidegate:client-id";
// Each is of the type of its default; empty texts, 0 of the hints and null stand for none. `clientVersion` is package.json's.
const DEFAULTS = {
  baseUrl: "",
  components: [],
  entities: [],
  eventTypes: [],
  filter: [],
  presence: [],
  channels: [],
  state: false,
  hints: false,
  debounceMs: 0,
  maxWaitMs: 0,
  getToken: null,
  withCredentials: true,
  autoReconnect: true,
  maxReconnectAttempts: Infinity,
  reconnectDelay: 1000,
  eventHistoryLimit: 100,
  enablePersistence: true,
  telemetry: true,
  shared: true,
  userId: "",
  clientId: "",
  clientVersion: "0.1.0",
};

const refuse = (why) => {
  throw new TypeError(`createSync: ${why}.`);
};

const checked = (name, usual, given) => {
  if (Array.isArray(usual)) {
    const list = [given].flat();
    return list.every((text) => text && typeof text === "string") ? list : refuse(`${name} has to be text, or a list of it`);
  }
  const type = usual === null ? "function" : typeof usual;
  const fits = typeof given === type && (type !== "number" || given >= 0);
  return fits || given === usual ? given : refuse(`${name} has to be a ${type}`);
};

// The same at each visit, so that a cohort that this browser is in keeps it.
const ownClientId = (storage) => {
  const known = storage?.getItem(CLIENT_ID);
  if (known) return known;
  const id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  storage?.setItem(CLIENT_ID, id);
  return id;
};

export const readSettings = (options, environment) => {
  const unknown = Object.keys(options).find((name) => !(name in DEFAULTS) && !(name in environment));
  if (unknown) refuse(`there is no option ${unknown}`);
  const settings = Object.fromEntries(
    Object.entries(DEFAULTS).map(([name, usual]) => [name, checked(name, usual, options[name] ?? usual)]),
  );
  selector(settings);
  for (const name of ["components", "presence", "channels"]) settings[name].forEach(nameOf(name));

  settings.baseUrl = settings.baseUrl.replace(/\/+$/, "");
  settings.hints = settings.hints ? "with" : "off";
  settings.credentials = settings.withCredentials ? "include" : "same-origin";
  settings.clientId ||= ownClientId(environment.storage);
  return settings;
};
