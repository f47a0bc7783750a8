// The client's connection: which transport, from where, and what next when it ends.

import { isAfter } from "./cursor.js";
import { createPoll, createPoller } from "./poll.js";
import { createRequest, failure } from "./request.js";
import { createRetry } from "./retry.js";
import { next } from "./states.js";
import { openStream } from "./stream.js";
import { createTokens } from "./tokens.js";
import { selectionParams } from "./selection.js";

const GRACE_MS = 2000;
const HINT_MS = 2000;
const USUAL_RETRY_MS = 2000;
const RENEW_MS = 5000;
const MUTE_RETRY_MS = 30_000;
const MUTE_KEPT_MS = 600_000;
const MOST_HELD = 1000;
const OBEYED = "fetch-mode";

export function createConnection({
  settings,
  environment,
  store,
  tokens = createTokens({ getToken: settings.getToken, environment }),
  changed = () => {},
}) {
  const { clock, random, storage } = environment;
  const request = createRequest({ settings, environment, tokens });
  const poll = createPoll({ request, settings, store });
  const retry = createRetry({ reconnectDelay: settings.reconnectDelay, random });
  const pollRetry = createRetry({ reconnectDelay: settings.reconnectDelay, random });
  const muteKey = `tidegate:mute:${settings.baseUrl}`;

  let status = Object.freeze({
    state: "initialized",
    transport: "sse",
    error: null,
    modes: {},
    clientId: null,
    heartbeatMs: null,
    firstEventMs: null,
    reason: null,
  });
  let stream = null;
  let upSince = null; // When the stream said `connected`; null while none does.
  let polling = null; // Why everything is polled; null while it is not.
  let answers = false; // Whether the last poll of everything was answered.
  let attempts = 0; // In a row, in which nothing worked.
  let retired = false; // Polling is over for this client (410).
  let suspect = false; // The last stream was silent: a mute network, if polls get through.
  let verdict = null;
  let retryMs = 0;
  let retryAt = 0;
  let notBefore = 0;
  let hintedAt = -Infinity;
  let pollsAt = 0; // No sooner, as `fetch-mode` said.
  const lanes = new Map(); // The components that poll beside the stream, by name.
  const timers = {};

  const set = (members) => {
    if (Object.entries(members).some(([name, value]) => status[name] !== value)) {
      status = Object.freeze({ ...status, ...members });
      changed(status);
    }
  };
  const move = (event, members) => set({ ...members, state: next(status.state, event) });

  const clear = (name) => {
    clock.clearTimeout(timers[name]);
    delete timers[name];
  };
  const after = (name, ms, run) => {
    clear(name);
    timers[name] = clock.setTimeout(() => {
      delete timers[name];
      run();
    }, ms);
  };

  // Which network it was is told by few browsers; elsewhere the ten minutes have to do.
  function isMute() {
    try {
      verdict ??= JSON.parse(storage?.getItem(muteKey) ?? null);
    } catch {
      storage.removeItem(muteKey);
    }
    const age = clock.wall() - verdict?.at;
    return age >= 0 && age < MUTE_KEPT_MS && verdict.network === environment.network();
  }

  function judge(mute) {
    suspect = false;
    verdict = mute ? { at: clock.wall(), network: environment.network() } : null;
    mute ? storage?.setItem(muteKey, JSON.stringify(verdict)) : storage?.removeItem(muteKey);
  }

  // Streams.

  function closeStream() {
    stream?.close();
    stream = null;
    if (upSince !== null) {
      retry.worked(clock.now() - upSince);
      upSince = null;
    }
    ["retry", "token"].forEach(clear);
  }

  function open() {
    closeStream();
    const from = store.cursor;
    const params = selectionParams(settings);
    from && params.set("lastEventId", from);
    const mine = openStream({
      request,
      clock,
      params,
      onMessage: (message) => mine === stream && take(message, from),
      onRetry: (ms) => (retryMs = ms),
      onEnd: (error) => mine === stream && ended(error),
    });
    stream = mine;
  }

  function take(message, from) {
    const { type, data, control } = message;
    if (type === "connected" && control && data) {
      return connected(message, from);
    }
    if (!control && isHeld(message)) {
      return undefined;
    }
    if (type === "reset" && data) {
      joinLanes();
    }
    const ofStream = lanes.size && (type === "reset" || type === "state");
    store.apply(ofStream ? { ...message, lane: "" } : message);
    mergeLanes(message.id);
    return control && data && handlers[type]?.(data);
  }

  const handlers = {
    reset: ready,
    "fetch-mode": changeMode,
    "token-expiring": expire,
    bye: leave,
  };

  function connected(message, from) {
    const { data } = message;
    if (!from && store.cursor) {
      // A poll was answered while this stream was on its way from nowhere: what lies between is not in it.
      return open();
    }
    upSince = clock.now();
    attempts = 0;
    judge(false);
    move("up", {
      error: null,
      clientId: data.clientId ?? null,
      heartbeatMs: stream.heartbeatMs,
      firstEventMs: upSince - stream.openedAt,
      modes: Object.freeze({ ...data.modes }),
    });
    if (data.recovered === false) {
      store.apply({ ...message, id: undefined });
    } else {
      store.apply(message);
      ready();
    }
    lanes.forEach((lane) => lane.poller.stop());
    lanes.clear();
    Object.keys(status.modes).forEach((name) => status.modes[name] === "polling" && addLane(name));
  }

  /** The stream has what comes after the cursor, so that polling ends. */
  function ready() {
    retired = false;
    clear("grace");
    if (polling) {
      stopPolling();
    }
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
    closeStream();
    if (reconnect) {
      lost(failure(`The gateway ended the stream: ${reason}.`), floorMs);
    } else if (reason === "revoked") {
      fail(failure("Access was revoked."), "revoked");
    } else if (modes.length && modes.every((mode) => mode === "polling")) {
      obey();
    } else {
      halt();
      move("end", { reason });
    }
  }

  /** Nothing streams now: tries again, and polls meanwhile. `floorMs`: the gateway's word on when. */
  function lost(error, floorMs = error.retryAfterMs) {
    suspect = Boolean(error.mute);
    if (!settings.autoReconnect) {
      halt();
      return move("end", { error });
    }
    if (!answers) {
      move(status.state === "connected" ? "lost" : "down", { error });
    }
    const why = error.mute ? "mute" : error.blocked ? "blocked" : "error";
    if (polling) {
      polling = why;
      set({ reason: why });
    } else if (error.mute) {
      startPolling(why);
    } else if (!timers.grace) {
      after("grace", GRACE_MS, () => startPolling(why));
    }
    return again(error, floorMs);
  }

  function again(error, floorMs = 0) {
    attempts += 1;
    if (attempts > settings.maxReconnectAttempts) {
      return fail(error, "attempts");
    }
    // What every answer says is for those who come back again and again; a longer one is an operator's word.
    const usual = retry.failures || retryMs > USUAL_RETRY_MS ? retryMs : 0;
    notBefore = clock.now() + floorMs;
    if (suspect || isMute()) {
      notBefore = Math.max(notBefore, clock.now() + MUTE_RETRY_MS - 8000);
    }
    retryAt = Math.max(notBefore, clock.now() + retry.delay(Math.max(floorMs, usual)));
    return after("retry", retryAt - clock.now(), open);
  }

  // Polling of everything.

  const everything = createPoller({
    environment,
    ask(controller) {
      set({ transport: "poll", reason: polling });
      return poll(null, controller);
    },
    answered({ fetchMode }) {
      answers = true;
      attempts = 0;
      pollRetry.reset();
      move("up", { error: null });
      if (suspect) {
        judge(true);
      }
      mergeLanes(store.cursor);
      if (polling === OBEYED && fetchMode === "streaming" && !stream) {
        open();
      } else if (polling !== OBEYED && fetchMode === "polling") {
        obey();
      }
    },
    failed(error) {
      answers = false;
      if (error.fatal) {
        fail(error);
        return false;
      }
      if (error.status === 410) {
        retired = true;
        stopPolling();
        stream || timers.retry || again(error);
        return false;
      }
      if (upSince === null) {
        move("down", { error });
      }
      if (!stream && !timers.retry && (attempts += 1) > settings.maxReconnectAttempts) {
        fail(error, "attempts");
        return false;
      }
      return pollRetry.delay(error.retryAfterMs);
    },
  });

  function startPolling(why) {
    clear("grace");
    if (retired) {
      return;
    }
    if (!polling) {
      lanes.forEach((lane) => lane.poller.stop());
      everything.start(pollsAt - clock.now(), true);
    }
    polling = why;
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
    startPolling(OBEYED);
  }

  // Components that poll beside the stream.

  const isHeld = (message) => {
    for (const lane of lanes.size ? lanes.values() : []) {
      if (lane.types.includes(message.data?.entityType)) {
        lane.upTo && lane.held.push(message);
        if (lane.held.length > MOST_HELD) {
          open();
        }
        return true;
      }
    }
    return false;
  };

  const setLanes = (keep) => {
    const map = Object.fromEntries([...lanes].map(([name, lane]) => [name, lane.types]));
    store.setLanes({ ...keep, ...map });
  };

  /** A reset is for whatever the stream has, so for those too that were coming back to it. */
  function joinLanes() {
    lanes.forEach((lane, name) => {
      if (lane.upTo) {
        lane.poller.stop();
        lanes.delete(name);
      }
    });
    setLanes({});
  }

  /** A lane that does not poll any more is one with the stream once that has passed both at `place`. */
  function mergeLanes(place) {
    const beside = Object.keys(store.lanes).filter((name) => !lanes.has(name));
    if (place && beside.length && !isAfter(store.cursors[""], place)) {
      const behind = beside.filter((name) => isAfter(store.cursors[name], place));
      if (behind.length < beside.length) {
        setLanes(Object.fromEntries(behind.map((name) => [name, store.lanes[name]])));
      }
    }
  }

  function typesOf(pollUrl) {
    const owned = new URL(pollUrl, "http://gateway").searchParams.getAll("entity").map(typeOf);
    const { entities } = settings;
    return entities.length ? entities.filter((entity) => owned.includes(typeOf(entity))) : [...new Set(owned)];
  }

  function addLane(name, delayMs = 0, pollUrl = null) {
    const lane = { name, types: store.lanes[name] ?? [], entities: null, held: [], upTo: null, stray: 0 };
    const know = (url) => {
      lane.entities = typesOf(url);
      lane.types = lane.entities.map(typeOf);
      setLanes(store.lanes);
    };
    const drop = () => {
      lane.poller.stop();
      lanes.delete(name);
    };
    lane.poller = createPoller({
      environment,
      async ask(controller) {
        if (!lane.entities) {
          const { components, clientId, clientVersion } = { ...settings, components: [name] };
          const params = selectionParams({ components, clientId, clientVersion });
          know((await request.json("fetch-mode", params, { controller })).pollUrl);
        }
        return lane.entities.length ? poll(lane, controller) : null;
      },
      answered(answer) {
        lane.retry.reset();
        if (!answer) {
          drop();
        } else if (lane.upTo && !isAfter(lane.upTo, store.cursors[name])) {
          drop();
          lane.held.forEach((message) => store.apply(message));
          mergeLanes(lane.held.at(-1)?.id ?? lane.upTo);
        } else if (!lane.upTo && answer.fetchMode === "streaming" && (lane.stray += 1) > 1) {
          // The stream should have said so: it may have been opened at a node that does not know yet.
          open();
        }
      },
      failed(error) {
        if (error.status === 401) {
          fail(error);
        } else if (error.status === 410) {
          closeStream();
          lost(error);
        } else if (error.fatal) {
          drop(); // Nothing of it is for this client.
        } else {
          return lane.retry.delay(error.retryAfterMs);
        }
        return false;
      },
    });
    lane.retry = createRetry({ reconnectDelay: settings.reconnectDelay, random });
    lanes.get(name)?.poller.stop();
    lanes.set(name, lane);
    pollUrl ? know(pollUrl) : setLanes(store.lanes);
    polling || lane.poller.start(delayMs);
  }

  function changeMode({ component, mode, delayMs, cursor, pollUrl }) {
    set({ modes: Object.freeze({ ...status.modes, [component]: mode }) });
    const lane = lanes.get(component);
    if (mode === "polling") {
      pollsAt = clock.now() + delayMs;
      addLane(component, delayMs, pollUrl);
    } else if (lane) {
      lane.upTo = cursor;
      polling || lane.poller.start(delayMs);
    }
  }

  // Tokens.

  function expire({ expiresAt }) {
    // One that lives for less than the gateway's minute is renewed at half of what is left, not at once and again.
    const leftMs = Math.min(60_000, Math.max(2000, Date.parse(expiresAt) - clock.wall()));
    after("token", clock.now() - upSince < RENEW_MS ? leftMs / 2 : 0, renewToken);
  }

  async function renewToken() {
    const mine = stream;
    try {
      await tokens.get(mine.token);
      if (mine === stream) {
        open();
      }
    } catch {
      // The stream ends with its token: whatever getToken says then is told.
      if (mine === stream) {
        after("token", RENEW_MS, renewToken);
      }
    }
  }

  // The face.

  function halt() {
    Object.keys(timers).forEach(clear);
    closeStream();
    lanes.forEach((lane) => lane.poller.stop());
    lanes.clear();
    stopPolling();
    attempts = 0;
    retired = suspect = false;
  }

  function fail(error, reason = "refused") {
    halt();
    move("fail", { error, reason });
  }

  function begin() {
    halt();
    retry.reset();
    pollRetry.reset();
    move("start", { error: null });
    if (isMute()) {
      startPolling("mute");
    }
    open();
  }

  return {
    get status() {
      return status;
    },
    start: begin,
    reconnect: begin,
    renew: () => stream && open(),
    stop() {
      halt();
      move("end", { error: null });
    },
    pause() {
      halt();
      move("pause");
    },
    resume: () => status.state === "paused" && begin(),
    /** Something may have changed: a stream that is dead is found out, and what waits is brought forward. */
    hint() {
      stream?.check();
      const at = Math.max(clock.now(), hintedAt + HINT_MS);
      if (timers.retry && Math.max(at, notBefore) < retryAt) {
        retryAt = Math.max(at, notBefore);
        after("retry", retryAt - clock.now(), open);
      }
      everything.hint(at);
      lanes.forEach((lane) => lane.poller.hint(at));
      hintedAt = at;
    },
    /** Polls everything once, beside whatever else there is, until there is no more. */
    async catchUp(signal) {
      const controller = new AbortController();
      signal?.addEventListener("abort", () => controller.abort(signal.reason));
      while ((await poll(null, controller)).more);
    },
  };
}

const typeOf = (entity) => entity.split(":")[0];
