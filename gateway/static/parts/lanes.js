// Components that poll beside the stream: each is a lane of the store, with a cursor of its own.

import { isAfter } from "./cursor.js";
import { createPoller } from "./poll.js";
import { selectionParams } from "./selection.js";

const MOST_HELD = 1000;

const typeOf = (entity) => entity.split(":")[0];

/** `lost(error)`: the stream has to be opened anew. */
export function createLanes({ settings, environment, store, request, poll, lost }) {
  const lanes = new Map();
  const owned = new Map(); // Of each component: the types that it owns.

  const keep = (isKept) =>
    store.setLanes(Object.fromEntries(Object.entries(store.lanes).filter(([name]) => isKept(name))));

  function stop(lane) {
    lane.poller.stop();
    lanes.delete(lane.name);
  }

  /** What does not poll any more is one with the stream, once that has passed both at `cursor`. */
  function merge(cursor) {
    const passed = (name) => !isAfter(store.cursors[name], cursor);
    if (cursor && Object.keys(store.lanes).length > lanes.size && passed("")) {
      keep((name) => lanes.has(name) || !passed(name));
    }
  }

  const learn = (name, pollUrl) =>
    owned.set(name, new URL(pollUrl, "http://gateway").searchParams.getAll("entity").map(typeOf));

  function answered(lane) {
    if (lane.upTo && !isAfter(lane.upTo, store.cursors[lane.name])) {
      stop(lane);
      lane.held.forEach(store.apply);
      merge(lane.held.at(-1)?.id ?? lane.upTo);
    }
  }

  /** Gives whether to ask again. Of what is refused nothing is for this client, unless its stream is refused too. */
  function failed(lane, error) {
    const isOver = error.status === 401 || error.status === 410;
    isOver ? lost(error) : error.fatal && stop(lane);
    return !isOver && !error.fatal;
  }

  return {
    merge,
    get size() {
      return lanes.size;
    },
    learn,
    /** Asks what these own: nothing of the stream may count before. */
    async ask(names, controller) {
      const { clientId, clientVersion } = settings;
      for (const name of names) {
        const params = selectionParams({ components: [name], clientId, clientVersion });
        learn(name, (await request.json("fetch-mode", params, { controller })).pollUrl);
      }
    },
    /** Polls `name`, whose types are known, in `delayMs`: what the page asked for of them. */
    add(name, delayMs) {
      const { entities } = settings;
      const own = owned.get(name);
      const lane = { name, held: [], upTo: null };
      lane.entities = entities.length ? entities.filter((entity) => own.includes(typeOf(entity))) : own;
      lane.poller = createPoller({
        settings,
        environment,
        ask: (controller) => poll(lane, controller, lane),
        answered: () => answered(lane),
        failed: (error) => failed(lane, error),
      });
      lanes.get(name)?.poller.stop();
      if (lane.entities.length) {
        lanes.set(name, lane);
        store.setLanes({ ...store.lanes, [name]: [...new Set(lane.entities.map(typeOf))] });
        lane.poller.start(delayMs);
      }
    },
    /** The stream has what comes after `upTo`: polls once more up to there, and holds that meanwhile. */
    end(name, delayMs, upTo) {
      const lane = lanes.get(name);
      if (lane) {
        lane.upTo = upTo;
        lane.poller.start(delayMs);
      }
    },
    /** Whether an event of the stream is not for now: while a lane polls, its types come by its polls alone. */
    holds(message) {
      for (const lane of lanes.values()) {
        if (store.lanes[lane.name].includes(message.data?.entityType)) {
          if (lane.upTo && lane.held.push(message) > MOST_HELD) {
            lost(new Error("Polling is too slow."));
          }
          return true;
        }
      }
      return false;
    },
    /** A reset is for all that the stream has, so for what was coming back to it as well. */
    reset() {
      lanes.forEach((lane) => lane.upTo && stop(lane));
      keep((name) => lanes.has(name));
    },
    clear: () => lanes.forEach(stop),
  };
}
