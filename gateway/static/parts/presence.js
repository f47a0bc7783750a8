// Who else is in a channel, and what is said there (docs/protocol.md, section 10).

import { createHandlers, report } from "./store.js";

const NOBODY = Object.freeze({});

export const createPresence = ({ store, send, select, isUp }) => {
  const { on, emit } = createHandlers();
  const people = new Map();
  const metas = new Map();

  const tell = (channel) => send("PUT", `presence/${channel}`, { meta: metas.get(channel) });
  // What was said of oneself went with the stream that is gone.
  store.on("connected", () => metas.forEach((meta, channel) => tell(channel).catch(report)));
  store.on("presence", ({ channel, type, users }) => {
    const next = type === "sync" ? {} : { ...people.get(channel) };
    for (const [id, { meta }] of Object.entries(users)) {
      if (type === "leave") delete next[id];
      else next[id] = meta;
    }
    people.set(channel, Object.freeze(next));
    emit(channel);
  });

  return {
    presence(channel, meta) {
      if (meta !== undefined) metas.set(channel, meta);
      // Who is there already is told of no new stream.
      if (meta !== undefined && people.has(channel)) tell(channel).catch(report);
      const leave = select("presence", channel, () => {
        people.delete(channel);
        metas.delete(channel);
        emit(channel);
      });
      return {
        get users() {
          return people.get(channel) ?? NOBODY;
        },
        get isConnected() {
          return isUp();
        },
        update(next) {
          metas.set(channel, next);
          return tell(channel);
        },
        leave,
        onChange: (fn) => on(channel, fn),
      };
    },
    channel(name) {
      const heard = createHandlers();
      const off = store.on("broadcast", ({ channel, event, payload, from }) => channel === name && heard.emit(event, payload, from));
      const leave = select("channels", name);
      return {
        on: heard.on,
        send: (event, payload = {}) => send("POST", `broadcast/${name}`, { event, payload }),
        leave() {
          off();
          leave();
        },
      };
    },
  };
};
