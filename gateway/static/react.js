// Hooks and components for React: one sync for the page, given to all that is below its provider. react.d.ts is their contract.

import { createComponents } from "./parts/react_components.js";
import { createEntityHooks } from "./parts/react_entities.js";
import { createLease, createLeases, lent } from "./parts/lease.js";
import { matcher } from "./parts/selection.js";
import { createSync } from "./tidegate.js";

export const ConnectionState = Object.freeze({
  INITIALIZED: "initialized",
  CONNECTING: "connecting",
  CONNECTED: "connected",
  UNAVAILABLE: "unavailable",
  PAUSED: "paused",
  DISCONNECTED: "disconnected",
  FAILED: "failed",
  // What pages call it that show a banner then.
  ERROR: "failed",
});

const NONE = Object.freeze([]);
const NOBODY = Object.freeze({});
const NO_EVENTS = { subscribe: () => () => {}, getSnapshot: () => NONE };
const NO_ROOM = { subscribe: () => () => {}, getSnapshot: () => NOBODY, update: () => {} };
const NO_ENTITIES = new Map();
// Before a sync is there: on the server, and in a page's first rendering, which has to be the server's.
const INITIAL = Object.freeze({
  state: "initialized",
  transport: "sse",
  health: "connecting",
  error: null,
  lastEvent: null,
  cursor: null,
  clientId: null,
  events: NONE,
  metrics: Object.freeze({
    totalEvents: 0,
    uptime: 0,
    totalReconnects: 0,
    eventCounts: Object.freeze({}),
    lastEvent: null,
    lagMs: null,
    transport: "sse",
    duplicatesDropped: 0,
    fallbacks: 0,
    malformed: 0,
  }),
});

export function createHooks(React, { open = createSync } = {}) {
  const { createContext, createElement, useContext, useEffect, useMemo, useState } = React;
  const { useCallback, useInsertionEffect, useRef, useSyncExternalStore } = React;
  const Leases = createContext(null);

  function SyncManagerProvider({ initialConfig, enablePersistence, sync, children }) {
    const latest = useLatest(initialConfig);
    const [own] = useState(() => {
      const config = { ...initialConfig };
      if (enablePersistence !== undefined) {
        config.enablePersistence = enablePersistence;
      }
      if (config.getToken) {
        // The newest, which an inline function is: the first one would go on giving what it saw at first.
        config.getToken = () => latest.current.getToken();
      }
      return createLeases(createLease(() => open(config)), config, open);
    });
    const given = useMemo(() => sync && createLeases(lent(sync), null), [sync]);
    const leases = given ?? own;
    useEffect(() => leases.main.retain(), [leases]);
    return createElement(Leases.Provider, { value: leases }, children);
  }

  /** The leases of the provider above. */
  function useLeases() {
    const leases = useContext(Leases);
    if (leases === null) {
      throw new Error("This hook needs a provider: put <SyncManagerProvider initialConfig={…}> around the components that use it.");
    }
    return leases;
  }

  /** The provider's sync, for a hook about entities; null where it does not know them yet. */
  function useMain(entities) {
    const leases = useLeases();
    const key = JSON.stringify(entities ?? []);
    useEffect(() => [JSON.parse(key)].flat().forEach(leases.expect), [leases, key]);
    return leases.main;
  }

  /** The newest value, for callbacks that outlive the rendering that made them. */
  function useLatest(value) {
    const latest = useRef(value);
    useInsertionEffect(() => {
      latest.current = value;
    });
    return latest;
  }

  /** What `select` reads from a snapshot and a sync: a primitive, or an object that stays the same until it changes. */
  function useSelected(lease, select) {
    const subscribe = useCallback(
      (changed) => {
        const release = lease.retain();
        const off = lease.sync.onChange(changed);
        return () => {
          off();
          release();
        };
      },
      [lease],
    );
    const read = () => (lease.sync === null ? select(INITIAL, null) : select(lease.sync.getSnapshot(), lease.sync));
    return useSyncExternalStore(subscribe, read, () => select(INITIAL, null));
  }

  // Who polls is in no channel.
  const useStreams = (lease) => useSelected(lease, (snapshot) => snapshot.health === "healthy");
  const useConnected = (lease) => useSelected(lease, (snapshot) => snapshot.state === "connected");
  const useError = (lease) => useSelected(lease, (snapshot) => snapshot.error);

  /** The events of a selection go to `handler`, the newest one that was rendered, while the component is there. Null selects nothing. */
  function useSubscription(lease, filter, handler) {
    const latest = useLatest(handler);
    const key = JSON.stringify(filter);
    useEffect(() => {
      if (key === "null") return undefined;
      const release = lease.retain();
      const off = lease.sync.subscribe(JSON.parse(key), (event) => latest.current?.(event));
      return () => {
        off();
        release();
      };
    }, [lease, key]);
  }

  /** The newest events of a selection, oldest first. */
  function useEvents(lease, filter, limit) {
    const key = JSON.stringify(filter);
    const list = useMemo(() => createEventList(lease, JSON.parse(key), limit), [lease, key, limit]);
    return useSyncExternalStore(list.subscribe, list.getSnapshot, () => NONE);
  }

  function useSyncManager() {
    const { main } = useLeases();
    const snapshot = useSelected(main, (current) => current);
    const [actions] = useState(() => ({
      subscribe: (...filterAndHandler) => subscribeTo(main, ...filterAndHandler),
      reconnect: () => main.sync?.reconnect(),
    }));
    const { sync } = main;
    return {
      ...actions,
      sync,
      events: sync?.events ?? NONE,
      lastEvent: snapshot.lastEvent,
      connectionState: snapshot.state,
      isConnected: snapshot.state === "connected",
      transport: snapshot.transport,
      health: snapshot.health,
      error: snapshot.error,
      metrics: snapshot.metrics,
    };
  }

  function useConnectionHealth() {
    const { main } = useLeases();
    const status = useSelected(main, (snapshot) => snapshot.health);
    const state = useSelected(main, (snapshot) => snapshot.state);
    const transport = useSelected(main, (snapshot) => snapshot.transport);
    const reconnect = useCallback(() => main.sync?.reconnect(), [main]);
    return { status, state, transport, isConnected: state === "connected", error: useError(main), reconnect };
  }

  function useEntitySync(entity, { eventTypes, filter, limit = 100 } = {}) {
    const main = useMain(entity);
    const [type, id] = splitEntity(entity);
    const events = useEvents(main, of(entity, { eventTypes, filter }), limit);
    const entities = useSelected(main, (snapshot, sync) => (type && sync?.entities(type)) || NO_ENTITIES);
    return {
      events,
      latestEvent: events.at(-1) ?? null,
      entities,
      entity: id === null ? null : (entities.get(id) ?? null),
      isConnected: useConnected(main),
      error: useError(main),
    };
  }

  function useEventTypeSync(eventTypes, handler, { entity, filter, limit = 100 } = {}) {
    const main = useMain(entity);
    const selection = { entities: entity && [entity].flat(), eventTypes: [eventTypes].flat(), filter };
    useSubscription(main, selection, handler);
    const events = useEvents(main, selection, limit);
    return { events, latestEvent: events.at(-1) ?? null, isConnected: useConnected(main) };
  }

  function useStageChange(entity, handler, { eventType = "stage_change", member } = {}) {
    const name = memberOf(eventType);
    useSubscription(useMain(entity), of(entity, { eventTypes: [eventType] }), (event) => {
      const { data = {}, previous = {} } = event;
      return member === undefined
        ? handler(event, data[`previous${name}`], data[`new${name}`])
        : handler(event, previous[member], data[member]);
    });
  }

  function useAutoRefresh(entity, refetch, options = {}) {
    const main = useMain(entity);
    const latest = useLatest(refetch);
    const key = entity === undefined ? null : JSON.stringify([entity, options]);
    useEffect(() => {
      if (key === null) return undefined;
      const [which, how] = JSON.parse(key);
      const release = main.retain();
      const stop = main.sync.autoRefresh(which, () => latest.current(), how);
      return () => {
        stop();
        release();
      };
    }, [main, key]);
  }

  const useDashboardSync = (refresh, { entity = null, ...options } = {}) => useAutoRefresh(entity, refresh, options);

  function usePollingFallback(poll, { intervalMs = 30_000, graceMs = 2000 } = {}) {
    const { main } = useLeases();
    const latest = useLatest(poll);
    const transport = useSelected(main, (snapshot) => snapshot.transport);
    const health = useSelected(main, (snapshot) => snapshot.health);
    const isDown = health === "error" || health === "disconnected";
    useEffect(() => (isDown ? every(intervalMs, graceMs, () => latest.current?.()) : undefined), [
      isDown,
      intervalMs,
      graceMs,
    ]);
    return { isPolling: isDown || health === "polling", transport };
  }

  function usePresence(channel, userId, meta) {
    const { main } = useLeases();
    const key = JSON.stringify(meta ?? {});
    const latest = useLatest(key);
    const room = useMemo(() => {
      const join = (sync) => sync.presence(channel, { userId, meta: JSON.parse(latest.current) });
      return channel == null ? NO_ROOM : createRoom(main, join);
    }, [main, channel, userId]);
    // It runs before the room is joined, which takes the meta of then: so what it tells is what changed since.
    useEffect(() => void room.update(JSON.parse(key)), [room, key]);
    const onlineUsers = useSyncExternalStore(room.subscribe, room.getSnapshot, () => NOBODY);
    return { onlineUsers, isConnected: useStreams(main) };
  }

  function useBroadcast(channel, handlers = {}) {
    const { main } = useLeases();
    const latest = useLatest(handlers);
    const joined = useRef(null);
    const key = JSON.stringify(Object.keys(handlers).sort());
    useEffect(() => {
      if (channel == null) return undefined;
      const release = main.retain();
      const room = main.sync.channel(channel);
      joined.current = room;
      const offs = JSON.parse(key).map((name) => room.on(name, (...said) => latest.current[name]?.(...said)));
      return () => {
        joined.current = null;
        offs.forEach((off) => off());
        room.leave();
        release();
      };
    }, [main, channel, key]);
    const send = useCallback(async (event, payload) => {
      if (joined.current === null) {
        throw new Error("send() is for event handlers and effects: the channel is joined once the component is mounted.");
      }
      return joined.current.send(event, payload);
    }, []);
    return { send, isConnected: useStreams(main) };
  }

  function useOptimisticUpdates(type) {
    const { main } = useLeases();
    const [pending, setPending] = useState(0);
    const [error, setError] = useState(null);
    const entities = useSelected(main, (snapshot, sync) => (type && sync?.entities(type)) || NO_ENTITIES);
    const [writes] = useState(() => {
      const followed = async (write) => {
        const release = main.retain();
        setPending((count) => count + 1);
        setError(null);
        try {
          return await write(main.sync);
        } catch (failure) {
          setError(failure);
          throw failure;
        } finally {
          setPending((count) => count - 1);
          release();
        }
      };
      return {
        update: (entity, change, options) =>
          followed((sync) => sync.optimistic(entity, change, typeof options === "function" ? { write: options } : options)),
        enqueue: (request) => followed((sync) => sync.enqueue(request)),
        batch: (requests) => followed((sync) => sync.batch(requests)),
      };
    });
    return { entities, ...writes, pending, isPending: pending > 0, error };
  }

  const entityHooks = createEntityHooks(React, { useLeases, useConnected, useError, useSelected, useSubscription });
  return {
    SyncManagerProvider,
    useSyncManager,
    useConnectionHealth,
    useEntitySync,
    useEventTypeSync,
    useStageChange,
    useAutoRefresh,
    useDashboardSync,
    usePollingFallback,
    usePresence,
    useBroadcast,
    useOptimisticUpdates,
    ...entityHooks,
    ...createComponents(React, { useConnectionHealth }),
    ConnectionState,
  };
}

/** The selection of an entity's events; null, which selects nothing, where a page does not know yet which one it is. */
const of = (entity, selection) => (entity == null ? null : { entities: [entity], ...selection });

/** `order:O-1` as ["order", "O-1"]; `order` as ["order", null]. */
function splitEntity(entity) {
  const [type, ...id] = entity?.split(":") ?? [null];
  return [type, id.length > 0 ? id.join(":") : null];
}

/** What legacy routes call the changed member of an event type: `stage_change` has previousStage and newStage. */
function memberOf(eventType) {
  const words = eventType.replace(/_(change|changed|update|updated)$/, "").split(/[_.-]+/);
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}

/** Handlers may come without a filter, as `subscribe(fn)`. */
function subscribeTo(lease, filter, handler) {
  const [selection, fn] = handler === undefined ? [{}, filter] : [filter, handler];
  const release = lease.retain();
  const off = lease.sync.subscribe(selection, fn);
  return () => {
    off();
    release();
  };
}

/** An external store of the newest `limit` events: those of the history that match, and what comes. */
function createEventList(lease, filter, limit) {
  if (filter === null) return NO_EVENTS;
  const matches = matcher(filter);
  let kept = [];
  let view = NONE;
  return {
    subscribe(changed) {
      const release = lease.retain();
      kept = lease.sync.events.filter(matches).slice(-limit);
      view = null;
      const off = lease.sync.subscribe(filter, (event) => {
        kept.push(event);
        kept.splice(0, kept.length - limit);
        view = null;
        changed();
      });
      return () => {
        off();
        release();
      };
    },
    getSnapshot: () => (view ??= kept.length > 0 ? [...kept] : NONE),
  };
}

/** An external store of who is in a channel, which it joins while somebody looks. */
function createRoom(lease, join) {
  let room = null;
  let view = NOBODY;
  return {
    subscribe(changed) {
      const release = lease.retain();
      room = join(lease.sync);
      const off = room.onChange(() => {
        view = null;
        changed();
      });
      view = null;
      return () => {
        off();
        room.leave();
        room = null;
        view = NOBODY;
        release();
      };
    },
    getSnapshot: () => (view ??= byId(room.users)),
    update: (meta) => room?.update(meta),
  };
}

const byId = (users) => (users instanceof Map ? Object.fromEntries(users) : { ...users });

/** Calls `poll` after `firstMs`, and `ms` after each of its answers; gives what ends it. One that fails is the page's to hear of. */
function every(ms, firstMs, poll) {
  let isOver = false;
  const run = async () => {
    try {
      await poll();
    } finally {
      if (!isOver) timer = setTimeout(run, ms);
    }
  };
  let timer = setTimeout(run, firstMs);
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}
