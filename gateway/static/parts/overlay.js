// What was written and has not come back yet, laid over the server's state until it does.

import { isAfter, parseCursor } from "./cursor.js";
import { report } from "./store.js";

// How long a change shows whose answer named no cursor, where no event of its entity comes.
const UNNAMED_MS = 10_000;

const epochOf = (cursor) => parseCursor(cursor)?.epoch;
const isSame = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const ordinal = (version) => (/^\d{4}-\d\d-/.test(version) ? Date.parse(version) : Number(version));

const movedOn = (now, since) => {
  if (now == null || since == null || isSame(now, since)) return false;
  const [a, b] = [ordinal(now), ordinal(since)];
  // Numbers and times may differ by less than these hold; what has no order is later if it is another.
  return a === b ? now > since : !(a < b);
};

export function createOverlay({ environment: { clock }, store, changed }) {
  // In the order in which they were made.
  let layers = [];
  // By type: the store's Map that a view was made of, and the view.
  const views = new Map();
  let telling = false;

  const set = (next, { type }) => {
    layers = next;
    views.delete(type);
    if (telling) return;
    telling = true;
    queueMicrotask(() => {
      telling = false;
      changed();
    });
  };

  const drop = (layer) => {
    clock.clearTimeout(layer.timer);
    if (layers.includes(layer)) set(layers.filter((other) => other !== layer), layer);
  };

  /** Drops an answered change that the stream has come to, or is taken to have come to with an event of its entity. */
  const settle = (layer, its) => {
    if (layer.cursor && epochOf(layer.cursor) === epochOf(store.cursor)) {
      if (!isAfter(layer.cursor, store.cursor)) drop(layer);
    } else if (its) drop(layer);
    else layer.timer ??= clock.setTimeout(() => drop(layer), UNNAMED_MS);
  };

  const judge = (layer) => {
    const now = store.entities(layer.type).get(layer.id);
    // What the change would make no other is the change itself, come before its answer.
    if (!movedOn(now?.[layer.conflict], layer.version) || isSame(layer.make(now), now)) return;
    drop(layer);
    layer.onConflict?.(now, layer.mine);
  };

  store.applied(({ type, data, control }) =>
    layers.forEach((layer) => {
      const its = control
        ? type === "state" && data.last
        : data.entityType === layer.type && data.entityId === layer.id;
      if (layer.cursor !== undefined) settle(layer, its);
      else if (its && layer.conflict) judge(layer);
    }),
  );

  return {
    view(type) {
      const base = store.entities(type);
      const own = layers.filter((layer) => layer.type === type);
      if (!own.length) return base;
      if (views.get(type)?.base !== base) {
        const view = new Map(base);
        own.forEach(({ id, make }) => {
          const data = make(view.get(id));
          if (data) view.set(id, data);
          else view.delete(id);
        });
        views.set(type, { base, view });
      }
      return views.get(type).view;
    },

    add(entity, change, { conflict, base, onConflict } = {}) {
      const [, type, id] = /^([^:]+):(.+)$/s.exec(entity) ?? [];
      if (!id) throw new TypeError(`Name one entity, as "order:O-1", not ${entity}.`);
      const make = typeof change === "function" ? change : (data) => change && { ...data, ...change };
      const from = base ?? store.entities(type).get(id);
      const mine = make(from);
      // It did well once, and whoever reads the view is not to blame for what it does with another state.
      const careful = (data) => {
        try {
          return make(data);
        } catch (error) {
          report(error);
          return data;
        }
      };
      const layer = { type, id, make: careful, mine, conflict, version: from?.[conflict], onConflict };
      set([...layers, layer], layer);
      if (conflict) judge(layer);
      return {
        drop: () => drop(layer),
        isGone: () => !layers.includes(layer),
        answered(cursor = null) {
          layer.cursor = cursor;
          if (layers.includes(layer)) settle(layer);
        },
      };
    },
  };
}
