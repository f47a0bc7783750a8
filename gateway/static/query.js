// Adapters for caches of queries: what an event is about is asked for again, or set from it. query.d.ts is their contract.

export function bindQueryClient(sync, queryClient, options = {}) {
  return bind(sync, options, {
    invalidate: (queryKey) => queryClient.invalidateQueries({ queryKey }),
    invalidateAll: () => queryClient.invalidateQueries(),
    set(queryKey, value) {
      queryClient.setQueryData(queryKey, value);
      // An answer that is under way may be older than the event, and would replace it.
      return queryClient.isFetching({ queryKey, exact: true }) === 0;
    },
  });
}

export function bindSwr(sync, mutate, options = {}) {
  return bind(sync, options, {
    invalidate: (key) => mutate(key),
    invalidateAll: () => mutate(() => true),
    set(key, value) {
      // Without revalidation SWR drops an answer that is under way by itself.
      mutate(key, value, { revalidate: false });
      return true;
    },
  });
}

const CLOCK = { setTimeout: (fn, ms) => setTimeout(fn, ms), clearTimeout: (id) => clearTimeout(id) };

function bind(sync, { keys = {}, set = {}, state = {}, all, debounceMs = 100, clock = CLOCK, random = Math.random }, cache) {
  const stale = new Map();
  let timer = null;
  let resetTimer = null;
  let hasState = false;

  const put = (pairs) => {
    for (const [key, value] of pairs) {
      // Nothing to show, as of what was deleted: the one who asks for it is told by the backend.
      if (value === undefined || !cache.set(key, value)) {
        invalidateSoon([key]);
      }
    }
  };

  /** Once for each key in a window, however many events are about it. */
  function invalidateSoon(list) {
    list.forEach((key) => stale.set(JSON.stringify(key), key));
    if (list.length > 0) {
      timer ??= clock.setTimeout(flush, debounceMs);
    }
  }

  function flush() {
    timer = null;
    const due = [...stale.values()];
    stale.clear();
    due.forEach((key) => cache.invalidate(key));
  }

  function invalidateAll() {
    resetTimer = null;
    stale.clear();
    all === undefined ? cache.invalidateAll() : all.forEach((key) => cache.invalidate(key));
  }

  const takeState = () => {
    hasState = true;
    Object.entries(state).forEach(([type, pairs]) => put(pairs(sync.entities(type))));
  };
  // One that was kept from the visit before comes with no `state` event.
  const takeKeptState = () => {
    if (!hasState && sync.complete) takeState();
  };

  const offs = [
    sync.subscribe({}, (event) => {
      const { entityType, entityId, action } = event;
      const data = action === "delete" || action === "leave" ? undefined : event.data;
      put(set[entityType]?.(entityId, data, event) ?? []);
      invalidateSoon(keys[entityType]?.(entityId, event) ?? []);
    }),
    sync.on("connected", takeKeptState),
    sync.on("state", ({ last }) => {
      if (last) takeState();
    }),
    sync.on("reset", ({ jitterMs = 0, state: follows }) => {
      // Where the state of all of it follows, nothing has to be asked for.
      if (!follows || Object.keys(keys).some((type) => !(type in state))) {
        resetTimer ??= clock.setTimeout(invalidateAll, random() * jitterMs);
      }
    }),
  ];
  takeKeptState();

  return () => {
    offs.forEach((off) => off());
    [timer, resetTimer].filter((id) => id !== null).forEach((id) => clock.clearTimeout(id));
  };
}
