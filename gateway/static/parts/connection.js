// The client's connection: which transport, from where, and what next when it ends.

import { createLanes } from "./lanes.js";
import { createMute } from "./mute.js";
import { createPoll, createPoller } from "./poll.js";
import { randomId } from "./random_id.js";
import { createRequest, failure } from "./request.js";
import { createRetry } from "./retry.js";
import { selectionParams } from "./selection.js";
import { next } from "./states.js";
import { openStream } from "./stream.js";

const GRACE_MS = 2000;
const HINT_MS = 2000;
const USUAL_RETRY_MS = 2000;
const RENEW_MS = 15_000;
const MUTE_RETRY_MS = 30_000;
const OBEYED = "fetch-mode";
export const INITIAL = Object.freeze({
  state: "initialized",
  transport: "sse",
  error: null,
  modes: Object.freeze({}),
  clientId: null,
  heartbeatMs: null,
  firstEventMs: null,
  reason: null,
});

export function createConnection({ settings, environment, store, tokens, changed }) {
  const { clock, random } = environment;
  const request = createRequest({ settings, environment, tokens });
  const poll = createPoll({ request, settings, store });
  const retry = createRetry({ reconnectDelay: settings.reconnectDelay, random });
  const mute = createMute({ baseUrl: settings.baseUrl, environment });
  const lanes = createLanes({ settings, environment, store, request, poll, lost });

  let status = INITIAL;
  let stream = null;
  let waiting = null; // What came of the stream while it is asked what else there is; null elsewhere.
  let openedAt = 0;
  let upSince = null; // When the stream said `connected`; null while none does.
  let shown = null; // What is known of the state that polls show.
  let polling = null; // Why everything is polled; null while it is not.
  let answers = false; // Whether the last poll of everything was answered.
  let attempts = 0; // In a row, in which nothing worked.
  let retired = false; // Polling is over for this client (410).
  let suspect = false; // The last stream was silent: a mute network, if polls get through.
  let retryMs = 0;
  let retryAt = 0;
  let notBefore = 0;
  let hintedAt = -HINT_MS;
  let pollsAt = 0; // No sooner, as `fetch-mode` said.
  const timers = {};

  function set(members) {
    if (Object.keys(members).some((name) => status[name] !== members[name])) {
      status = Object.freeze({ ...status, ...members });
      changed(status);
    }
  }

  const move = (event, members) => set({ ...members, state: next(status.state, event) });

  function clear(name) {
    clock.clearTimeout(timers[name]);
    delete timers[name];
  }

  function after(name, ms, run) {
    clear(name);
    timers[name] = clock.setTimeout(() => {
      delete timers[name];
      run();
    }, ms);
  }

  function closeStream() {
    stream?.close();
    stream = waiting = null;
    if (upSince !== null) {
      retry.worked(clock.now() - upSince);
      upSince = null;
    }
    clear("retry");
    clear("token");
  }

  function open() {
    closeStream();
    openedAt = clock.now();
    const from = store.cursor;
    const params = selectionParams(settings);
    from && params.set("lastEventId", from);
    // By which a report names it, also where it never says who it is.
    params.set("attempt", (settings.attempt = randomId()));
    const mine = openStream({
      request,
      clock,
      params,
      onMessage: (message) => take(message, from),
      onRetry: (ms) => (retryMs = ms),
      onEnd: ended,
    });
    stream = mine;
  }

  function take(message, from) {
    const { type, id, data, control } = message;
    if (waiting) {
      waiting.push(message);
      return;
    }
    if (!data || !control) {
      if (lanes.size && lanes.holds(message)) {
        return;
      }
    } else if (type === "connected") {
      connected(message, from);
      return;
    } else if (type === "reset") {
      lanes.reset();
    }
    const isOfStream = lanes.size && (type === "reset" || type === "state");
    store.apply(isOfStream ? { ...message, lane: "" } : message);
    lanes.merge(id);
    data && control && handlers[type]?.(data);
  }

  const handlers = { reset: ready, "fetch-mode": changeMode, "token-expiring": expire, bye: leave };

  function connected(message, from) {
    const { clientId, modes, recovered } = message.data;
    if (!from && store.cursor) {
      // A poll was answered while this stream was on its way from nowhere: what lies between is not in it.
      open();
      return;
    }
    upSince = clock.now();
    attempts = 0;
    suspect = false;
    mute.judge(false);
    move("up", {
      error: null,
      clientId,
      heartbeatMs: stream.heartbeatMs,
      firstEventMs: upSince - stream.openedAt,
      modes: Object.freeze({ ...modes }),
    });
    store.apply(message);
    // Where it could not go on, a reset says from where it does.
    recovered === false || ready();
    lanes.clear();
    const polled = Object.keys(status.modes).filter((name) => modes[name] === "polling");
    polled.length && follow(polled);
  }

  /** Polls these beside the stream. What that brings waits until it is known which events come by polls alone. */
  async function follow(polled) {
    const mine = stream;
    const held = (waiting = []);
    const error = await lanes.ask(polled, mine.controller).catch((reason) => reason);
    if (mine !== stream) {
      return;
    }
    waiting = null;
    if (error) {
      lost(error);
    } else {
      polled.forEach((name) => lanes.add(name));
      held.forEach((message) => mine === stream && take(message));
    }
  }

  /** The stream has what comes after the cursor, so that polling ends. */
  function ready() {
    retired = false;
    clear("grace");
    polling && stopPolling();
  }

  function ended(error) {
    closeStream();
    if (error.fatal) {
      fail(error);
    } else if (error.status === 204) {
      obey();
    } else {
      lost(error);
    }
  }

  function leave({ reason, reconnect, retryMs: floorMs }) {
    const modes = Object.values(status.modes);
    if (reconnect) {
      lost(failure(`The stream ended: ${reason}.`, { retryAfterMs: floorMs }));
    } else if (reason === "revoked") {
      fail(failure("Access was revoked."), reason);
    } else if (modes.length && modes.every((mode) => mode === "polling")) {
      obey();
    } else {
      rest("end", { reason });
    }
  }

  /** Nothing streams now: tries again, and polls meanwhile. */
  function lost(error) {
    const { why = "error" } = error;
    closeStream();
    if (!settings.autoReconnect) {
      rest("end", { error });
      return;
    }
    answers || move(status.state === "connected" ? "lost" : "down", { error });
    suspect = why === "mute";
    if (polling || suspect) {
      startPolling(why);
    } else if (!timers.grace) {
      after("grace", GRACE_MS, () => startPolling(why));
    }
    again(error);
  }

  function again(error) {
    if (isTired(error)) {
      return;
    }
    const floorMs = error.retryAfterMs ?? 0;
    // What every answer says is for those who come back again and again; a longer one is an operator's word.
    const usualMs = retry.failures || retryMs > USUAL_RETRY_MS ? retryMs : 0;
    notBefore = Math.max(clock.now() + floorMs, suspect || mute.holds ? openedAt + MUTE_RETRY_MS : 0);
    tryAt(Math.max(notBefore, clock.now() + retry.delay(Math.max(floorMs, usualMs))));
  }

  function tryAt(at) {
    retryAt = at;
    after("retry", at - clock.now(), open);
  }

  function isTired(error) {
    attempts += 1;
    const isOver = attempts > settings.maxReconnectAttempts;
    isOver && fail(error, "attempts");
    return isOver;
  }

  const everything = createPoller({
    settings,
    environment,
    ask(controller) {
      set({ transport: "poll", reason: polling });
      return poll(null, controller, polling === OBEYED && shown);
    },
    answered({ fetchMode }) {
      answers = true;
      attempts = 0;
      move("up", { error: null });
      suspect && mute.judge(true);
      lanes.merge(store.cursor);
      if (polling !== OBEYED) {
        fetchMode === "polling" && obey();
      } else if (fetchMode === "streaming" && !stream) {
        open();
      }
    },
    failed(error) {
      answers = false;
      if (error.fatal) {
        fail(error);
      } else if (error.status === 410) {
        retired = true;
        stopPolling();
        stream || timers.retry || again(error);
      } else {
        move("down", { error });
        // Where streams are tried as well, theirs are the attempts.
        return Boolean(stream || timers.retry) || !isTired(error);
      }
      return false;
    },
  });

  function startPolling(why) {
    clear("grace");
    if (!retired) {
      lanes.clear();
      polling || everything.start(pollsAt - clock.now(), true);
      polling = why;
    }
  }

  function stopPolling() {
    everything.stop();
    polling = null;
    answers = false;
    set({ transport: "sse", reason: null });
  }

  /** The gateway wants this client to poll: its answers say when that is over. */
  function obey() {
    closeStream();
    retired = suspect = false;
    shown = {};
    startPolling(OBEYED);
  }

  function changeMode({ component, mode, delayMs = 0, cursor, pollUrl }) {
    set({ modes: Object.freeze({ ...status.modes, [component]: mode }) });
    if (mode === "polling") {
      pollsAt = clock.now() + delayMs;
      lanes.learn(component, pollUrl);
      lanes.add(component, delayMs);
    } else {
      lanes.end(component, delayMs, cursor);
    }
  }

  /** Long before the end, but not at once and again where tokens live for less than the gateway's minute. */
  function expire({ expiresAt }) {
    const leftMs = Date.parse(expiresAt) - clock.wall();
    after("token", Math.min(RENEW_MS, Math.max(1000, leftMs / 4)), renewToken);
  }

  async function renewToken() {
    const mine = stream;
    // Where getToken fails the old one serves a while longer: the new stream says so again.
    await tokens.get(mine.token).catch(() => null);
    mine === stream && open();
  }

  /** Ends all there is, and rests in the state that follows from `event`. */
  function rest(event, members) {
    Object.keys(timers).forEach(clear);
    closeStream();
    lanes.clear();
    stopPolling();
    attempts = 0;
    retired = suspect = false;
    move(event, members);
  }

  function fail(error, reason = "refused") {
    rest("fail", { error, reason });
  }

  function begin() {
    rest("start", { error: null });
    retry.reset();
    mute.holds && startPolling("mute");
    open();
  }

  return {
    get status() {
      return status;
    },
    start: begin,
    reconnect: begin,
    renew: () => stream && open(),
    stop: () => rest("end", { error: null }),
    pause: () => rest("pause"),
    resume: () => status.state === "paused" && begin(),
    /** Something may have changed: a stream that is dead is found out, and what waits is brought forward. */
    hint() {
      stream?.check();
      if (hintedAt <= clock.now()) {
        hintedAt = Math.max(clock.now(), hintedAt + HINT_MS);
        timers.retry && tryAt(Math.min(retryAt, Math.max(hintedAt, notBefore)));
        everything.hint(hintedAt);
      }
    },
    /** Polls everything once, beside whatever else there is, until there is no more. */
    async catchUp(signal) {
      const controller = new AbortController();
      signal?.addEventListener("abort", () => controller.abort(signal.reason));
      while ((await poll(null, controller)).more);
    },
  };
}
