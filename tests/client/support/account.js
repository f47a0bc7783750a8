// The account of every event: what was published, and what a store was given of it.

const placeOf = (id) => {
  const [epoch, place] = id.split(/[.-]/);
  return { epoch, place: Number(place) };
};

/**
 * `published(event)` in the order of publishing, `took(message)` for each message that a store let through, `lanes()`
 * as that store has them. `took` throws where an event comes twice, out of order, or after one that is missing;
 * `missing()` gives what is still to come. A reset, and the state that follows one, say where it goes on.
 */
export function createAccount({ types, lanes }) {
  const events = Object.fromEntries(types.map((type) => [type, []]));
  const epochs = [];
  const next = {}; // Of each type: how many events are behind. None before there was a first position.

  const behind = (type, id) => {
    const { epoch, place } = placeOf(id);
    const at = epochs.indexOf(epoch);
    const isBehind = (event) => {
      const other = placeOf(event.id);
      const its = epochs.indexOf(other.epoch);
      return its < at || (its === at && other.place <= place);
    };
    return events[type].filter(isBehind).length;
  };

  const typesOf = (lane) => {
    const owner = (type) => Object.keys(lanes()).find((name) => lanes()[name].includes(type)) ?? "";
    return lane === undefined ? types : types.filter((type) => owner(type) === lane);
  };

  return {
    begins: (epoch) => epochs.push(epoch),
    published: (event) => events[event.entityType].push(event),
    took({ type, id, data, control, lane }) {
      if (!control) {
        const { entityType } = data;
        const expected = events[entityType][next[entityType]];
        if (expected?.id !== id) {
          throw new Error(`${entityType}: ${id} came, and ${expected?.id ?? "nothing"} was due`);
        }
        next[entityType] += 1;
      } else if (id !== undefined) {
        const begins = type === "reset" || type === "state";
        typesOf(begins ? lane : undefined)
          .filter((name) => begins || !(name in next))
          .forEach((name) => (next[name] = behind(name, id)));
      }
    },
    missing: () => types.flatMap((type) => events[type].slice(next[type] ?? 0).map((event) => event.id)),
  };
}
