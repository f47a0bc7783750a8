// A sync without a gateway: a test says what comes, and what state it is in. It records who asks it for what.

import { selector } from "../../../gateway/static/parts/selection.js";

const NO_ENTITIES = new Map();

/** `opened` are those that `open` made, in order; each has `emit(event)`, `become(members)`, `say(type, data)`, and `closed`. */
export function createFakes() {
  const opened = [];
  const open = (options) => {
    const fake = createFakeSync(options);
    opened.push(fake);
    return fake;
  };
  return { open, opened };
}

export function createFakeSync(options = {}) {
  const changed = new Set();
  const subscribers = new Set();
  const handlers = new Map();
  const entities = new Map();
  let snapshot = { state: "connecting", transport: "sse", health: "connecting", error: null, lastEvent: null, metrics: {} };
  let events = [];
  const tell = () => [...changed].forEach((fn) => fn());
  const holding = (set, fn) => {
    set.add(fn);
    return () => set.delete(fn);
  };

  const fake = {
    options,
    closed: false,
    rooms: [],
    refreshes: [],
    get events() {
      return events;
    },
    get state() {
      return snapshot.state;
    },
    getSnapshot: () => snapshot,
    onChange: (fn) => holding(changed, fn),
    on(type, fn) {
      handlers.set(type, handlers.get(type) ?? new Set());
      return holding(handlers.get(type), fn);
    },
    subscribe(filter, fn) {
      const select = selector(filter);
      return holding(subscribers, (event) => {
        const selected = select(event);
        if (selected !== null) fn(selected);
      });
    },
    entities: (type) => entities.get(type) ?? NO_ENTITIES,
    reconnects: 0,
    reconnect() {
      fake.reconnects += 1;
    },
    close() {
      fake.closed = true;
    },
    autoRefresh(entity, refetch, given) {
      const refresh = { entity, refetch, options: given, stopped: false };
      fake.refreshes.push(refresh);
      return () => {
        refresh.stopped = true;
      };
    },
    optimistic: async (entity, change, given) => given.write(),
    enqueue: async (request) => ({ status: 202, request }),
    batch: async (requests) => requests.map(() => ({ status: 202 })),
    presence(channel, { userId, meta } = {}) {
      const room = { channel, userId, metas: [meta], users: {}, told: new Set(), left: false };
      fake.rooms.push(room);
      return {
        get users() {
          return room.users;
        },
        onChange: (fn) => holding(room.told, fn),
        update: async (next) => void room.metas.push(next),
        leave: () => void (room.left = true),
      };
    },
    channel(name) {
      const room = { channel: name, heard: new Map(), sent: [], left: false };
      fake.rooms.push(room);
      return {
        on(event, fn) {
          room.heard.set(event, fn);
          return () => room.heard.delete(event);
        },
        send: async (event, payload) => void room.sent.push([event, payload]),
        leave: () => void (room.left = true),
      };
    },

    /** How many hold on to it. */
    listeners: () => changed.size + subscribers.size,
    become(members) {
      snapshot = { ...snapshot, ...members };
      tell();
    },
    emit(event) {
      events = [...events, event];
      snapshot = { ...snapshot, lastEvent: event };
      [...subscribers].forEach((fn) => fn(event));
      tell();
    },
    keep(type, items) {
      entities.set(type, new Map(Object.entries(items)));
      tell();
    },
    say: (type, data) => handlers.get(type)?.forEach((fn) => fn(data)),
  };
  return fake;
}

let number = 0;

/** An event of section 1, with an id after all before it. */
export function anEvent(members) {
  number += 1;
  return { id: `e.${number}-0`, eventType: "order_updated", action: "update", timestamp: "2026-11-20T10:30:00.000Z", ...members };
}
