// Hooks for rows that come, change and go: useRealtime, and those that makeEntityHook and makeAllUpdatesHook make of an entity type.

import { matcher } from "./selection.js";

// What a handler gets of each action. A row that leaves the selection is gone for whoever selected it.
const ARGUMENTS = {
  insert: (row) => [row],
  update: (row, old) => [row, old],
  delete: (row, old) => [old],
};
const ACTIONS = { insert: "insert", update: "update", delete: "delete", leave: "delete" };
const CALLBACKS = { onInsert: "insert", onUpdate: "update", onDelete: "delete" };

export function createEntityHooks(React, { useLeases, useConnected, useError, useSelected, useSubscription }) {
  const { useMemo, useState } = React;

  /** Calls those of `handlers` that `callbacks` names for the action of each event. `filter` null: of none. */
  function useRows(entity, filter, callbacks, handlers) {
    const leases = useLeases();
    const lease = filter === null ? leases.main : leases.of(entity, filter);
    const [latestUpdate, setLatestUpdate] = useState(null);
    useSubscription(lease, filter && { entities: [entity], filter }, (event) => {
      const action = ACTIONS[event.action];
      if (action === undefined) {
        return;
      }
      setLatestUpdate(event);
      const [row, old] = rowsOf(event);
      for (const [name, { on, when = () => true }] of callbacks) {
        if (on === action && when(row, old, event)) {
          handlers?.[name]?.(...ARGUMENTS[action](row, old), event);
        }
      }
    });
    return { lease, state: { isConnected: useConnected(lease), error: useError(lease), latestUpdate } };
  }

  function useRealtime({ table, filter, ...handlers }) {
    return useRows(table, listOf(filter), REALTIME, handlers).state;
  }

  function makeEntityHook(entity, { by, filter, callbacks = CALLBACKS, derive = {} } = {}) {
    const named = callbacksOf(callbacks);
    const derived = Object.entries(derive);
    const fixed = listOf(filter);
    // Whose rows they are a page may not know yet: then they are nobody's, and never everybody's.
    const selectionFor = (value) => (by === undefined ? fixed : value == null ? null : [...fixed, equals(by, value)]);

    return function useUpdates(value, handlers) {
      const selection = selectionFor(value);
      const key = JSON.stringify(selection);
      const { lease, state } = useRows(entity, selection, named, handlers);
      const rows = useSelected(lease, (snapshot, sync) => (derived.length > 0 && sync?.entities(entity)) || null);
      const values = useMemo(() => {
        const filter = JSON.parse(key);
        const matches = filter === null ? () => false : matcher({ filter });
        const list = [...(rows?.values() ?? [])].filter((data) => matches({ data }));
        return Object.fromEntries(derived.map(([name, of]) => [name, of(list)]));
      }, [rows, key]);
      return { ...state, ...values };
    };
  }

  function makeAllUpdatesHook(types) {
    const hooks = Object.entries(types).map(([name, { entity = name, ...options }]) => [name, makeEntityHook(entity, options)]);

    return function useAllUpdates(value, handlers) {
      const states = hooks.map(([name, useUpdates]) => ({ name, ...useUpdates(value, handlers) }));
      const subscriptions = states.map(({ name, isConnected }) => ({ name, isConnected }));
      const connected = subscriptions.filter(({ isConnected }) => isConnected).length;
      return {
        ...Object.assign({}, ...states.map(({ name, isConnected, error, latestUpdate, ...values }) => values)),
        isConnected: connected === states.length,
        error: states.find(({ error }) => error !== null)?.error ?? null,
        activeSubscriptions: connected,
        subscriptions,
      };
    };
  }

  return { useRealtime, makeEntityHook, makeAllUpdatesHook };
}

const callbacksOf = (callbacks) =>
  Object.entries(callbacks).map(([name, rule]) => [name, typeof rule === "string" ? { on: rule } : rule]);

const REALTIME = callbacksOf(CALLBACKS);

const listOf = (filter) => (filter === undefined ? [] : [filter].flat());

/** The row now, and as it was: the members of `previous` over `data`, for where it holds only what changed (section 3). */
function rowsOf({ data, previous, entityId }) {
  const row = data ?? previous ?? { id: entityId };
  return [row, { ...row, ...previous }];
}

/** A filter for one value. A text that looks like a number means either: in an address it is a text, whatever the column is. */
function equals(member, value) {
  const text = `"${String(value).replace(/["\\]/g, "\\$&")}"`;
  if (typeof value !== "string") {
    return `${member}=eq.${value}`;
  }
  return /^-?\d+(\.\d+)?$/.test(value) ? `${member}=in.(${value},${text})` : `${member}=eq.${text}`;
}
