// The options of createSync, checked, with what they are by default.

import { randomId } from "./random_id.js";
import { nameOf, selector } from "./selection.js";

const CLIENT_ID = "tidegate:client-id";
// Empty texts, 0 of the hints and null stand for none. `clientVersion` is package.json's.
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

// What would do harm without a word is refused; of the rest the types speak.
const checked = (name, usual, given) => {
  if (typeof usual === "number" && !(typeof given === "number" && given >= 0)) refuse(`${name} has to be a number`);
  return Array.isArray(usual) ? [given].flat() : given;
};

// The same at each visit, so that a cohort that this browser is in keeps it.
const ownClientId = (storage) => {
  const known = storage?.getItem(CLIENT_ID);
  if (known) return known;
  const id = randomId();
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
