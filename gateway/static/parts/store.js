// What a tab has of the log: it lets each event through once, and keeps entities, the last events and the cursors.

import { isAfter, oldest, placeOf } from "./cursor.js";
import { isObject, selector } from "./selection.js";

const EVERY_EVENT = Symbol("event");
const APPLIED = Symbol("applied");
const MOVES_FORWARD = new Set(["connected", "heartbeat", "refresh", "poll"]);
const MOST_WITHOUT_STATE = 10000;
const NOTHING = { cursors: { "": null }, lanes: {}, complete: false, entities: {} };

export const report = (error) => (globalThis.reportError ?? console.error)(error);

// Whoever is removed meanwhile is not called, nor is who comes meanwhile; one that throws stops no other.
export const createHandlers = () => {
  const handlers = new Map();
  return {
    on(type, fn) {
      const entry = { fn };
      handlers.set(type, [...(handlers.get(type) ?? []), entry]);
      return () => {
        entry.fn = () => {};
        handlers.set(type, handlers.get(type).filter((other) => other !== entry));
      };
    },
    emit(type, ...args) {
      for (const entry of handlers.get(type) ?? []) {
        try {
          entry.fn(...args);
        } catch (error) {
          report(error);
        }
      }
    },
  };
};

export const createStore = ({ historyLimit = 100, keepState = false } = {}) => {
  const { on, emit } = createHandlers();
  const counters = { totalEvents: 0, duplicatesDropped: 0, malformed: 0, eventCounts: new Map(), lastEvent: null };
  const places = new Map();
  const coming = new Map();
  const views = new Map();
  let lanes;
  let owners;
  let latest;
  let entities;
  // The lanes whose state has yet to come.
  let lacking;
  let history;
  let events;

  const own = (map) => {
    lanes = map;
    owners = new Map(Object.entries(map).flatMap(([lane, types]) => types.map((type) => [type, lane])));
  };
  const restore = (dump = NOTHING) => {
    own(dump.lanes);
    latest = "";
    places.clear();
    for (const [lane, cursor] of Object.entries(dump.cursors)) places.set(lane, cursor && placeOf(cursor));
    entities = new Map(Object.entries(dump.entities).map(([type, known]) => [type, new Map(known)]));
    lacking = new Set(dump.complete ? [] : places.keys());
    history = [];
    events = null;
    counters.lastEvent = null;
    views.clear();
  };
  restore();

  const laneOf = (type) => owners.get(type) ?? "";
  const move = (lane, place) => {
    latest = lane;
    places.set(lane, place);
  };
  const forward = (lane, place) => isAfter(place, places.get(lane)) && move(lane, place);

  const drop = (lane) => {
    for (const type of entities.keys()) {
      if (lane === undefined || laneOf(type) === lane) {
        entities.delete(type);
        views.delete(type);
      }
    }
  };

  const change = ({ action, entityType, entityId, data }) => {
    const known = entities.get(entityType) ?? new Map();
    if (action === "delete" || action === "leave") {
      known.delete(entityId);
    } else if (action !== "signal" && isObject(data)) {
      if (!keepState && !known.has(entityId) && known.size >= MOST_WITHOUT_STATE) known.delete(known.keys().next().value);
      known.set(entityId, data);
    }
    entities.set(entityType, known);
    views.delete(entityType);
  };

  const applyEvent = ({ type, id, data }) => {
    const lane = laneOf(data.entityType);
    if (id !== undefined) {
      const place = placeOf(id);
      if (!isAfter(place, places.get(lane))) {
        counters.duplicatesDropped += 1;
        return false;
      }
      move(lane, place);
    }
    counters.totalEvents += 1;
    counters.lastEvent = data;
    counters.eventCounts.set(type, (counters.eventCounts.get(type) ?? 0) + 1);
    history.push(data);
    events = null;
    if (history.length > 2 * historyLimit + 100) history = history.slice(-historyLimit || history.length);
    if (data.entityType !== undefined) change(data);
    emit(type, data, id);
    emit(EVERY_EVENT, data, id);
    return true;
  };

  const applyPart = ({ id, data: { part, last, entityType, items }, lane }) => {
    if (part === 1) coming.set(lane, new Map());
    const types = coming.get(lane);
    if (!types || !Array.isArray(items)) {
      counters.malformed += 1;
      return false;
    }
    if (!types.has(entityType)) types.set(entityType, new Map());
    for (const item of items) types.get(entityType).set(item.entityId, item.data);
    if (last) {
      coming.delete(lane);
      drop(lane);
      for (const [type, known] of types) {
        entities.set(type, known);
        views.delete(type);
      }
      for (const name of lanesOf(lane)) {
        lacking.delete(name);
        // One without is what polling shows beside the events, which go on from where they are.
        if (id !== undefined) move(name, placeOf(id));
      }
    }
    return true;
  };

  const lanesOf = (lane) => (lane === undefined ? [...places.keys()] : [lane]);

  const applyControl = (message) => {
    const { type, id, data, lane } = message;
    if (type === "state" && !applyPart(message)) return false;
    if (type === "reset") {
      coming.delete(lane);
      // The old state stays to be seen until the new one is whole, but for what may not be seen any more.
      if (!data.state || data.reason === "scope") drop(lane);
      for (const name of lanesOf(lane)) {
        lacking.add(name);
        move(name, id === undefined ? null : placeOf(id));
      }
    }
    // What says that it could not go on is followed by a reset, which must not get lost between.
    if (MOVES_FORWARD.has(type) && id !== undefined && data?.recovered !== false) {
      (type === "poll" ? lanesOf(lane) : [""]).forEach((name) => forward(name, placeOf(id)));
    }
    if (type !== "poll") emit(type, data, id);
    return true;
  };

  return {
    on,
    emit,
    counters,
    get cursor() {
      const { [latest]: last, ...others } = Object.fromEntries(places);
      return oldest([...Object.values(others), last])?.text ?? null;
    },
    get cursors() {
      return Object.fromEntries([...places].map(([lane, place]) => [lane, place?.text ?? null]));
    },
    get lanes() {
      return lanes;
    },
    get complete() {
      return !lacking.size;
    },
    get events() {
      events ??= Object.freeze(historyLimit ? history.slice(-historyLimit) : []);
      return events;
    },
    // A new lane begins where everything else is; one that is not named any more is one with it again.
    setLanes(map) {
      for (const [lane, place] of places) {
        if (!lane || lane in map) continue;
        places.delete(lane);
        latest = "";
        forward("", place);
        if (lacking.delete(lane)) lacking.add("");
      }
      for (const lane of Object.keys(map)) {
        if (places.has(lane)) continue;
        places.set(lane, places.get(""));
        if (lacking.has("")) lacking.add(lane);
      }
      own(map);
    },
    apply(message) {
      const { type, id, data, control } = message;
      if (type !== "poll" && !isObject(data)) {
        counters.malformed += 1;
        if (!control && id !== undefined) forward("", placeOf(id));
        return false;
      }
      if (!(control ? applyControl(message) : applyEvent(message))) return false;
      if (type !== "poll") emit("*", data, type, id);
      emit(APPLIED, message);
      return true;
    },
    applied: (fn) => on(APPLIED, fn),
    // What a store goes on from; nothing, where nothing is given.
    restore,
    subscribe(filter, fn) {
      const select = selector(filter);
      return on(EVERY_EVENT, (event, id) => {
        const selected = select(event);
        if (selected) fn(selected, id);
      });
    },
    entities(type) {
      if (!views.has(type)) views.set(type, new Map(entities.get(type)));
      return views.get(type);
    },
    dump() {
      return {
        cursors: this.cursors,
        lanes,
        complete: this.complete,
        entities: Object.fromEntries(keepState ? [...entities].map(([type, known]) => [type, [...known]]) : []),
      };
    },
  };
};
