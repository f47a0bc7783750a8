// A sync that is there as long as somebody uses it: nothing opens while a page renders, and a second mount finds the first one's.

export function createLease(open) {
  let sync = null;
  let users = 0;

  // What mounts twice (StrictMode), or moves to another place of the page, gives it back and takes it in one go.
  const closeIfUnused = () => {
    if (users === 0 && sync !== null) {
      const unused = sync;
      sync = null;
      unused.close();
    }
  };

  return {
    get sync() {
      return sync;
    },
    retain() {
      sync ??= open();
      users += 1;
      return once(() => {
        users -= 1;
        queueMicrotask(closeIfUnused);
      });
    },
  };
}

function once(fn) {
  let done = false;
  return () => {
    if (!done) {
      done = true;
      fn();
    }
  };
}

/** One that somebody else opened, and closes. */
export const lent = (sync) => ({ sync, retain: () => () => {} });

/** A provider's syncs: `main`, and one for each selection that `main` has not. `config` null: `main` has everything. */
export function createLeases(main, config, open) {
  // Kept when they close: whoever holds one from before opens the same one again.
  const others = new Map();
  const warned = new Set();
  return {
    main,
    /** What hooks of `main` alone are about: silence would look as if nothing happened. */
    expect(entity) {
      const type = typeOf(entity);
      const all = [config?.entities ?? []].flat();
      if (all.length > 0 && !all.some((other) => typeOf(other) === type) && !warned.has(type)) {
        warned.add(type);
        console.warn(`The provider's sync does not select ${type}, so nothing of it will come: add it to entities of its initialConfig.`);
      }
    },
    of(entity, filter) {
      if (config === null || covers(config, entity)) {
        return main;
      }
      const key = JSON.stringify([entity, filter]);
      if (!others.has(key)) {
        const own = { entities: [entity], filter, eventTypes: [], presence: [], channels: [] };
        others.set(key, createLease(() => open({ ...config, ...own })));
      }
      return others.get(key);
    },
  };
}

const typeOf = (entity) => entity.split(":")[0];

/** Whether a sync of these options gets every event of an entity type. What components own the gateway alone knows. */
function covers({ entities = [], eventTypes = [], filter = [] }, entity) {
  const all = [entities].flat();
  const narrowed = [eventTypes, filter].flat().length > 0;
  return !narrowed && (all.length === 0 || all.includes(entity));
}
