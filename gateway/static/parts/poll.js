// Polling: one answer as messages, and one after the other.

import { createRetry } from "./retry.js";
import { selectionParams } from "./selection.js";

const INTERVAL_MS = 5000;
const STATE_MS = 35_000; // The gateway waits for a state for 30 seconds.
const SHOWN_MS = 8000;
const LIMIT = 1000;

/**
 * Gives `poll(lane, controller, shown)` → the answer, once all of it was handed on; `lane` null asks for everything.
 * `shown` is an object of one's own where the gateway asks to poll, null where polling is a fallback.
 */
export function createPoll({ request, settings, store }) {
  const paramsOf = (lane) => {
    const all = { ...settings, state: false, presence: [], channels: [], hints: "off" };
    return selectionParams(lane ? { ...all, components: [lane.name], entities: lane.entities } : all);
  };

  const give = (lane, type, id, data) => store.apply({ type, id, data, control: true, lane: lane?.name });

  /** Hands on the state: where the lane `begins` with it, it goes on from there. */
  async function tellState(lane, controller, shown, begins, reset) {
    const waitMs = begins ? STATE_MS : SHOWN_MS;
    const state = await request.json("state", paramsOf(lane), { controller, waitMs, known: shown });
    controller.signal.throwIfAborted();
    if (state) {
      const { cursor, items } = state;
      reset && give(lane, "reset", undefined, { ...reset, cursor, state: true });
      const types = [...new Set(items.map((item) => item.entityType))];
      (types.length ? types : [""]).forEach((entityType, at, { length }) => {
        const ofType = items.filter((item) => item.entityType === entityType);
        const last = at + 1 >= length;
        give(lane, "state", last && begins ? cursor : undefined, { entityType, items: ofType, part: at + 1, last, cursor });
      });
    }
  }

  /** False where nothing knows the state. */
  async function begin(lane, controller, shown, reset) {
    shown && (shown.etag = null);
    try {
      await tellState(lane, controller, shown, true, reset);
      return true;
    } catch (error) {
      if (error.status === 400 || error.status === 404) {
        return false;
      }
      throw error;
    }
  }

  return async function poll(lane, controller, shown) {
    const from = lane ? store.cursors[lane.name] : store.cursor;
    if (settings.state && !from && (await begin(lane, controller, shown))) {
      return { more: true };
    }
    const params = paramsOf(lane);
    params.set("limit", LIMIT);
    from && params.set("cursor", from);
    const answer = await request.json("poll", params, { controller });
    controller.signal.throwIfAborted();
    const { events, cursor, more, reset } = answer;
    if (reset && settings.state && (await begin(lane, controller, shown, reset))) {
      return { ...answer, more: true };
    }
    reset && give(lane, "reset", cursor, { ...reset, cursor });
    for (const event of events) {
      store.apply({ type: event.eventType, id: event.id, data: event, control: false });
    }
    give(lane, "poll", cursor, {});
    if (shown && settings.state && !shown.isOver && !more) {
      // Polling is there to say what is right, and events may say what is not; the state of before them says nothing.
      events.length && (shown.etag = null);
      await tellState(lane, controller, shown).catch((error) => (shown.isOver = error.status === 404));
    }
    return answer;
  };
}

/** `ask(controller)` again and again: `answered(answer)`, `failed(error)` → whether to go on. */
export function createPoller({ ask, settings, environment: { clock, random }, answered, failed }) {
  const retry = createRetry({ reconnectDelay: settings.reconnectDelay, random });
  let controller = null;
  let timer = null;
  let nextAt = 0;
  let notBefore = 0;
  let intervalMs = INTERVAL_MS;

  function wait(ms) {
    clock.clearTimeout(timer);
    nextAt = clock.now() + ms;
    timer = clock.setTimeout(turn, ms);
  }

  async function turn() {
    timer = null;
    const mine = (controller = new AbortController());
    const [answer, error] = await ask(mine).then((given) => [given], (reason) => [null, reason]);
    if (mine !== controller) {
      return;
    }
    controller = null;
    if (error) {
      const floorMs = error.retryAfterMs ?? 0;
      notBefore = clock.now() + floorMs;
      failed(error) && wait(retry.delay(floorMs));
    } else {
      retry.reset();
      intervalMs = answer?.pollIntervalMs ?? intervalMs;
      wait(answer?.more ? 0 : intervalMs * (0.9 + 0.2 * random()));
      answered(answer);
    }
  }

  function stop() {
    clock.clearTimeout(timer);
    timer = null;
    controller?.abort();
    controller = null;
  }

  return {
    stop,
    /** In `delayMs`, whatever is under way; where `paced`, no sooner after the poll before it than any other. */
    start(delayMs = 0, paced) {
      stop();
      const restMs = paced ? Math.min(nextAt - clock.now(), intervalMs) : 0;
      wait(Math.max(0, delayMs, restMs));
    },
    /** Brings a waiting poll forward. */
    hint(at) {
      timer === null || wait(Math.max(0, Math.min(nextAt, Math.max(at, notBefore)) - clock.now()));
    },
  };
}
