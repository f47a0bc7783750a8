// A model of the gateway behind an injected fetch: one log, streams, polls, state, modes, and a network that fails.

const encoder = new TextEncoder();

/** One frame as the gateway writes it. */
export function frame({ event, id, data, retry }) {
  const lines = [
    retry == null ? null : `retry: ${retry}`,
    event === undefined ? null : `event: ${event}`,
    id === undefined ? null : `id: ${id}`,
    `data: ${JSON.stringify(data)}`,
  ];
  return `${lines.filter((line) => line !== null).join("\n")}\n\n`;
}

function reply(status, body = {}, headers = {}) {
  return {
    status,
    ok: status >= 200 && status < 300,
    headers: new Headers({ "Content-Type": "application/json", ...headers }),
    body: null,
    json: async () => structuredClone(body),
  };
}

/** A body that a test writes: chunks wait until they are read, and `fail` or `end` come after them. */
function createBody(onCancel) {
  const chunks = [];
  let waiting = null;
  let outcome = null;
  const serve = () => {
    if (!waiting || !(chunks.length || outcome)) {
      return;
    }
    const { resolve, reject } = waiting;
    waiting = null;
    if (chunks.length) {
      resolve({ done: false, value: chunks.shift() });
    } else if (outcome.error) {
      reject(outcome.error);
    } else {
      resolve({ done: true, value: undefined });
    }
  };
  const finish = (error) => {
    outcome ??= { error };
    serve();
  };
  return {
    write(chunk) {
      chunks.push(typeof chunk === "string" ? encoder.encode(chunk) : chunk);
      serve();
    },
    finish,
    reader: {
      read: () =>
        new Promise((resolve, reject) => {
          waiting = { resolve, reject };
          serve();
        }),
      async cancel() {
        onCancel();
        finish(null);
      },
    },
  };
}

/**
 * What a test does with it: `publish`, `setMode`, `setState`, `trim`, `restart` change the gateway; `network` is
 * "up", "down" (every fetch is rejected), "hung" (none settles), "mute" (streams open, and not a byte comes);
 * `answer(path, status, …)` gives the next request of that path an answer of its own, `answerAlways` all of them.
 * `requests` holds what was asked; `streams` those that are open, each with `send(text)`, `end()`, `cut()`, `stall()`.
 */
export function createGateway({
  clock,
  owned = { orders: ["order"], invoices: ["invoice"] },
  heartbeatSeconds = 15,
  pollIntervalMs = 5000,
  retry = 2000,
  limit = 100,
} = {}) {
  const requests = [];
  const streams = new Set();
  const answers = new Map();
  const always = new Map();
  const modes = {};
  const retired = new Set();
  let epoch = "e1";
  let log = [];
  let last = 0;
  let first = 0; // Events up to this one are not held any more.
  let state = null; // {entityType: {entityId: data}}, where it is known.
  let lastClient = 0;

  const cursorOf = (place) => `${epoch}.${place}-0`;

  /** The place that a cursor names; null where this log can't go on from there. */
  function placeOf(cursor) {
    const [, of, place] = /^(\w+)\.(\d+)-0$/.exec(cursor) ?? [];
    return of === epoch && +place >= first && +place <= last ? +place : null;
  }

  const typesOf = (params) => params.getAll("entity").map((entity) => entity.split(":")[0]);

  function componentsOf(params) {
    const named = params.getAll("component");
    const types = typesOf(params);
    const belongs = ([, own]) => !types.length || own.some((type) => types.includes(type));
    return named.length ? named : Object.entries(owned).filter(belongs).map(([name]) => name);
  }

  const modeOf = (component) => modes[component] ?? "streaming";

  const modesOf = (params) =>
    Object.fromEntries(componentsOf(params).map((component) => [component, modeOf(component)]));

  const selects = (params, { entityType }) => {
    const types = typesOf(params);
    return !types.length || types.includes(entityType);
  };

  function carries(params, event) {
    const owners = Object.keys(owned).filter((component) => owned[component].includes(event.entityType));
    const streaming = componentsOf(params).filter((component) => modeOf(component) === "streaming");
    return selects(params, event) && (!owners.length || owners.some((owner) => streaming.includes(owner)));
  }

  const isPolled = (params) => {
    const all = Object.values(modesOf(params));
    return all.length > 0 && all.every((mode) => mode === "polling");
  };

  const pollUrl = (component) =>
    `/api/v1/sync/poll?${new URLSearchParams([
      ...(owned[component] ?? []).map((type) => ["entity", type]),
      ["component", component],
    ])}`;

  function open(params, signal) {
    const close = () => {
      streams.delete(stream);
      clock.clearTimeout(stream.timer);
    };
    const body = createBody(close);
    const stream = {
      params,
      place: last,
      isMute: gateway.network === "mute",
      stalled: false,
      send: (text) => stream.stalled || body.write(text),
      control: (event, data, id) => event === gateway.withholds || stream.send(frame({ event, data, id })),
      bye(reason, reconnect = true, retryMs = 1500) {
        stream.send(frame({ event: "bye", data: { reason, reconnect, retryMs }, retry: retryMs }));
        stream.end();
      },
      end() {
        close();
        body.finish(null);
      },
      cut() {
        close();
        body.finish(new TypeError("network error"));
      },
      stall: () => (stream.stalled = true),
      timer: null,
    };
    streams.add(stream);
    signal?.addEventListener("abort", () => {
      close();
      body.finish(signal.reason);
    });
    if (!stream.isMute) {
      greet(stream);
    } else {
      stream.stalled = true;
    }
    return { ...reply(200), headers: new Headers({ "Content-Type": "text/event-stream; charset=utf-8" }), body: { getReader: () => body.reader } };
  }

  function give(stream, event) {
    stream.place = Number(event.id.split(/[.-]/)[1]);
    if (carries(stream.params, event)) {
      stream.send(frame({ event: event.eventType, id: event.id, data: event }));
    }
  }

  function greet(stream) {
    const { params } = stream;
    const given = params.get("lastEventId");
    const place = given ? placeOf(given) : last;
    const begins = place === null || !given;
    const withState = begins && params.get("state") === "with" && state !== null;
    lastClient += 1;
    stream.place = place ?? last;
    const id = withState ? undefined : cursorOf(stream.place);
    const data = {
      clientId: `client-${lastClient}`,
      timestamp: new Date(clock.wall()).toISOString(),
      cursor: cursorOf(stream.place),
      ...(given && { recovered: place !== null }),
      heartbeatSeconds,
      modes: modesOf(params),
      ...(begins && params.get("state") === "with" && { state: withState }),
    };
    stream.send(frame({ event: "connected", id, data, retry }));
    if (given && place === null) {
      sendReset(stream, "unknown");
    } else if (withState) {
      sendState(stream);
    }
    log.filter((event) => Number(event.id.split(/[.-]/)[1]) > stream.place).forEach((event) => give(stream, event));
    beat(stream);
  }

  const itemsOf = (params, hasMode) =>
    Object.entries(state)
      .filter(([entityType]) => (hasMode ? carries(params, { entityType }) : selects(params, { entityType })))
      .map(([entityType, items]) => [
        entityType,
        Object.entries(items).map(([entityId, data]) => ({ entityId, data })),
      ]);

  function sendReset(stream, reason) {
    const withState = stream.params.get("state") === "with" && state !== null;
    const reset = { reason, cursor: cursorOf(stream.place), jitterMs: 0, ...(withState && { state: true }) };
    stream.control("reset", reset, withState ? undefined : cursorOf(stream.place));
    if (withState) {
      sendState(stream);
    }
  }

  function sendState(stream) {
    const types = itemsOf(stream.params, true);
    const cursor = cursorOf(stream.place);
    (types.length ? types : [["order", []]]).forEach(([entityType, items], at, { length }) => {
      const isLast = at + 1 === length;
      stream.control("state", { entityType, items, part: at + 1, last: isLast, cursor }, isLast ? cursor : undefined);
    });
  }

  function beat(stream) {
    stream.timer = clock.setTimeout(() => {
      stream.control("heartbeat", { timestamp: "" }, cursorOf(stream.place));
      beat(stream);
    }, heartbeatSeconds * 1000);
  }

  function poll(params) {
    const components = componentsOf(params);
    if (components.length && components.every((component) => retired.has(component))) {
      return reply(410, { detail: "Polling is over." });
    }
    const terms = { fetchMode: isPolled(params) ? "polling" : "streaming", pollIntervalMs };
    const given = params.get("cursor");
    const place = given ? placeOf(given) : last;
    if (place === null) {
      const reset = { reason: "unknown" };
      return reply(200, { events: [], cursor: cursorOf(last), more: false, reset, ...terms });
    }
    const behind = log.filter((event) => Number(event.id.split(/[.-]/)[1]) > place && selects(params, event));
    const events = behind.slice(0, limit);
    const more = behind.length > events.length;
    return reply(200, { events, cursor: more ? events.at(-1).id : cursorOf(last), more, ...terms });
  }

  function tellState(params, signal, headers) {
    if (state === null) {
      return reply(404, { detail: "Nothing knows the state." });
    }
    const items = itemsOf(params).flatMap(([entityType, all]) => all.map((item) => ({ entityType, ...item })));
    const fields = { ETag: `W/"${JSON.stringify(items)}"` };
    const isSame = headers["If-None-Match"] === fields.ETag;
    return isSame ? reply(304, {}, fields) : reply(200, { cursor: cursorOf(last), items, asOf: "" }, fields);
  }

  const resources = {
    events: (params, signal) => (isPolled(params) ? reply(204) : open(params, signal)),
    poll,
    state: tellState,
    "fetch-mode": (params) => {
      const component = params.get("component");
      return reply(200, { component, mode: modeOf(component), pollUrl: pollUrl(component), pollIntervalMs });
    },
  };

  const gateway = {
    network: "up",
    requests,
    modes,
    owned,
    get streams() {
      return [...streams];
    },
    /** The one open stream; a test that has several names them. */
    get stream() {
      return [...streams].at(-1);
    },
    get log() {
      return log;
    },
    get cursor() {
      return cursorOf(last);
    },
    asked: (path) => requests.filter((request) => request.path === path),
    answer(path, status, body, headers) {
      answers.set(path, [...(answers.get(path) ?? []), { status, body, headers }]);
    },
    forgetAnswers: () => answers.clear(),
    /** `status` null: as the gateway itself answers. */
    answerAlways(path, status, body, headers) {
      always.set(path, status === null ? undefined : { status, body, headers });
    },
    retire: (...components) => components.forEach((component) => retired.add(component)),
    revive: (...components) => components.forEach((component) => retired.delete(component)),
    /** An event. One that `lies` says what polling does not: the state stays as it is. */
    publish({ eventType = "stage_change", entityType = "order", entityId = "O-1", lies, ...members } = {}) {
      last += 1;
      const event = { id: cursorOf(last), eventType, entityType, entityId, action: "update", data: { n: last }, ...members };
      log.push(event);
      if (state !== null && !lies) {
        state[entityType] = { ...state[entityType], [entityId]: event.data };
      }
      streams.forEach((stream) => stream.isMute || give(stream, event));
      return event;
    },
    setState: (known) => void (state = known),
    stateOf: (entityType) => state[entityType] ?? {},
    setMode(component, mode, { delayMs = 0, tell = true } = {}) {
      modes[component] = mode;
      for (const stream of tell ? streams : []) {
        if (componentsOf(stream.params).includes(component)) {
          stream.control("fetch-mode", {
            component,
            mode,
            reason: "STATIC",
            delayMs,
            cursor: cursorOf(last),
            pollUrl: pollUrl(component),
          });
          if (isPolled(stream.params)) {
            stream.bye("disconnected", false, 30_000);
          }
        }
      }
    },
    /** Forgets what it held up to the newest event. */
    trim() {
      first = last;
      log = [];
    },
    /** The log starts over: cursors of before are of another epoch. Streams end with it, or are told. */
    restart(name, { cuts = true } = {}) {
      epoch = name;
      log = [];
      last = first = 0;
      for (const stream of streams) {
        if (cuts) {
          stream.cut();
        } else {
          stream.place = 0;
          sendReset(stream, "epoch");
        }
      }
    },
    fetch(url, { headers = {}, signal, ...options } = {}) {
      const { pathname, searchParams } = new URL(url, "http://gateway.test");
      const path = pathname.replace(/^.*\/api\/v1\/sync\//, "");
      if (signal?.aborted) {
        return Promise.reject(signal.reason);
      }
      requests.push({ path, url, params: searchParams, headers, options, at: clock.now() });
      const answer = () => {
        const own = answers.get(path)?.shift() ?? always.get(path);
        return own ? reply(own.status, own.body, own.headers) : (resources[path] ?? (() => reply(404)))(searchParams, signal, headers);
      };
      return new Promise((resolve, reject) => {
        let timer = null;
        const later = (run) => {
          const ms = gateway.latencyMs(path);
          if (ms) {
            timer = clock.setTimeout(run, ms);
          } else {
            run();
          }
        };
        signal?.addEventListener("abort", () => {
          clock.clearTimeout(timer);
          reject(signal.reason);
        });
        if (gateway.network === "down") {
          reject(new TypeError("fetch failed"));
        } else if (gateway.network === "hung") {
          gateway.hanging += 1;
        } else {
          later(() => {
            const given = answer();
            later(() => resolve(given));
          });
        }
      });
    },
    /** How long a request takes to the gateway, and its answer from there: 0 is at once. */
    latencyMs: () => 0,
    hanging: 0,
    /** A control event that is lost on the way to streams. */
    withholds: null,
  };
  return gateway;
}
