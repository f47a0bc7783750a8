// Polling: one answer as messages, and one after the other.

import { selectionParams } from "./selection.js";

const INTERVAL_MS = 5000;
const STATE_MS = 35_000; // The gateway waits for a state for 30 seconds.
const LIMIT = 1000;

/** Gives `poll(lane, controller)` → the answer, once all of it was handed on; `lane` null asks for everything. */
export function createPoll({ request, settings, store }) {
  const paramsOf = (lane) => {
    const all = { ...settings, state: false, presence: [], channels: [], hints: "off" };
    return selectionParams(lane ? { ...all, components: [lane.name], entities: lane.entities } : all);
  };

  /** Hands on the state; false where nothing knows it. */
  async function state(lane, reset, controller) {
    const answer = await request
      .json("state", paramsOf(lane), { controller, waitMs: STATE_MS })
      .catch((error) => {
        if (error.status === 400 || error.status === 404) {
          return null;
        }
        throw error;
      });
    if (!answer) {
      return false;
    }
    const give = (type, id, data) => store.apply({ type, id, data, control: true, lane: lane?.name });
    const { cursor, items } = answer;
    if (reset) {
      give("reset", undefined, { ...reset, cursor, state: true });
    }
    const types = [...new Set(items.map((item) => item.entityType))];
    (types.length ? types : [""]).forEach((entityType, at, { length }) => {
      const ofType = items.filter((item) => item.entityType === entityType);
      const last = at + 1 >= length;
      give("state", last ? cursor : undefined, { entityType, items: ofType, part: at + 1, last, cursor });
    });
    return true;
  }

  return async function poll(lane, controller) {
    const name = lane?.name;
    const from = lane ? store.cursors[name] : store.cursor;
    if (settings.state && !from && (await state(lane, null, controller))) {
      return { more: true };
    }
    const params = paramsOf(lane);
    params.set("limit", LIMIT);
    from && params.set("cursor", from);
    const answer = await request.json("poll", params, { controller });
    const { events, cursor, reset } = answer;
    if (reset && settings.state && (await state(lane, reset, controller))) {
      return { ...answer, more: true };
    }
    if (reset) {
      store.apply({ type: "reset", id: cursor, data: { ...reset, cursor }, control: true, lane: name });
    }
    for (const event of events) {
      store.apply({ type: event.eventType, id: event.id, data: event, control: false });
    }
    store.apply({ type: "poll", id: cursor, data: {}, control: true, lane: name });
    return answer;
  };
}

/** `ask(controller)` again and again; `answered(answer)` and `failed(error)` → ms until the next, or false to stop. */
export function createPoller({ ask, environment: { clock, random }, answered, failed }) {
  let controller = null;
  let timer = null;
  let nextAt = 0;
  let floorAt = 0;
  let intervalMs = INTERVAL_MS;

  const wait = (at) => {
    clock.clearTimeout(timer);
    nextAt = at;
    timer = clock.setTimeout(turn, Math.max(0, at - clock.now()));
  };

  async function turn() {
    timer = null;
    const mine = (controller = new AbortController());
    const own = () => mine === controller;
    try {
      const answer = await ask(mine);
      if (own()) {
        controller = null;
        intervalMs = answer.pollIntervalMs ?? intervalMs;
        wait(clock.now() + (answer.more ? 0 : intervalMs * (0.9 + 0.2 * random())));
        answered(answer);
      }
    } catch (error) {
      if (own()) {
        controller = null;
        floorAt = clock.now() + (error.retryAfterMs ?? 0);
        const delayMs = failed(error);
        delayMs === false || wait(clock.now() + delayMs);
      }
    }
  }

  return {
    /** In `delayMs`; where `paced`, no sooner after the poll before it than any other. */
    start(delayMs, paced) {
      const now = clock.now();
      wait(Math.max(now + delayMs, paced ? Math.min(nextAt, now + intervalMs) : 0));
    },
    stop() {
      clock.clearTimeout(timer);
      timer = null;
      controller?.abort();
      controller = null;
    },
    /** Brings a waiting poll forward. */
    hint(notBefore) {
      timer === null || wait(Math.min(nextAt, Math.max(notBefore, floorAt)));
    },
  };
}
