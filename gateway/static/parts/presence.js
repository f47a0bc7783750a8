// Who else is in a channel, and what is said there (docs/protocol.md, section 10).

import { createHandlers } from "./store.js";

export const createPresence = ({ store, request, select, isUp }, channel, meta) => {
  const { on, emit } = createHandlers();
  let users = Object.freeze({});
  let own = meta;

  const show = (next) => {
    users = Object.freeze(next);
    emit("change");
  };
  const tell = () => request("PUT", `presence/${channel}`, { meta: own });
  // What was said of oneself went with the stream that is gone. A refusal is told to who calls `update`.
  const offs = [
    store.on("connected", () => own && tell().catch(() => {})),
    store.on("presence", ({ channel: of, type, users: named }) => {
      if (of !== channel) return;
      const metas = Object.entries(named).map(([id, user]) => [id, user.meta]);
      if (type === "leave") show(Object.fromEntries(Object.entries(users).filter(([id]) => !Object.hasOwn(named, id))));
      else show(Object.fromEntries([...(type === "sync" ? [] : Object.entries(users)), ...metas]));
    }),
    select("presence", channel),
  ];

  return {
    get users() {
      return users;
    },
    get isConnected() {
      return isUp();
    },
    update(next) {
      own = next;
      return tell();
    },
    leave() {
      offs.splice(0).forEach((off) => off());
      show({});
    },
    onChange: (fn) => on("change", fn),
  };
};

export const createChannel = ({ store, request, select }, channel) => {
  const { on, emit } = createHandlers();
  const offs = [
    store.on("broadcast", ({ channel: of, event, payload, from }) => of === channel && emit(event, payload, from)),
    select("channels", channel),
  ];
  return {
    on,
    send: (event, payload = {}) => request("POST", `broadcast/${channel}`, { event, payload }),
    leave: () => offs.splice(0).forEach((off) => off()),
  };
};
