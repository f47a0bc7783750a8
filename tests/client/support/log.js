// A log with streams and polls, as a connection sees it through the gateway: numbered events, one history that can be trimmed.

const EPOCH = "e1";
const RETRY_MS = 500;
const POLL_LIMIT = 5;

const cursorOf = (number) => `${EPOCH}.${number}-0`;
const numberOf = (cursor) => (cursor === null ? null : Number(/\.(\d+)-/.exec(cursor)[1]));
const control = (type, data, id) => ({ type, id, data, control: true });

/** `state`: streams that can't continue begin with the state, as with `state=with`. */
export function createLog({ state = false } = {}) {
  const events = [];
  const streams = new Set();
  const hinted = [];
  const current = new Map();
  let trimmed = 0;
  let refuses = () => null;
  let offline = false;
  let held = Promise.resolve();

  const last = () => events.length;

  const message = (number) => {
    const event = events[number - 1];
    return { type: event.eventType, id: event.id, data: event, control: false };
  };

  const wholeState = () => {
    const items = [...current].map(([entityId, data]) => ({ entityId, data }));
    const half = Math.ceil(items.length / 2);
    const part = (some, number, isLast) =>
      control(
        "state",
        { entityType: "order", items: some, part: number, last: isLast, cursor: cursorOf(last()) },
        isLast ? cursorOf(last()) : undefined,
      );
    return [part(items.slice(0, half), 1, false), part(items.slice(half), 2, true)];
  };

  /** What a stream or a poll gives who comes with this cursor; `reset` where the log does not go back so far. */
  const since = (cursor) => {
    const from = numberOf(cursor);
    if (from === null || from < trimmed) {
      const lost = from !== null;
      const reset = control(
        "reset",
        { reason: "trimmed", cursor: cursorOf(last()), jitterMs: 0, ...(state && { state }) },
        state ? undefined : cursorOf(last()),
      );
      return { recovered: lost ? false : undefined, first: [...(lost ? [reset] : []), ...(state ? wholeState() : [])] };
    }
    return { recovered: true, first: events.slice(from).map((_, index) => message(from + index + 1)) };
  };

  const connect = (tab, store) => (changed) => {
    const { clock } = tab.environment;
    let stream = null;
    let timer = null;
    let status = { state: "initialized", transport: "sse", error: null };

    const become = (next) => {
      status = Object.freeze({ ...status, ...next });
      changed(status);
    };

    const close = () => {
      clock.clearTimeout(timer);
      streams.delete(stream);
      stream = null;
    };

    const open = () => {
      close();
      if (offline) {
        retry();
        return;
      }
      const mine = { tab, cut: retry, send };
      stream = mine;
      tab.task(() => stream === mine && answer(mine));

      function send(given, then = () => {}) {
        tab.task(() => {
          if (stream === mine) {
            store.apply(given);
            then();
          }
        });
      }
    };

    const answer = (mine) => {
      const refusal = refuses(tab);
      if (refusal) {
        close();
        become({ state: "failed", error: Object.assign(new Error("refused"), { status: refusal }) });
        return;
      }
      const { recovered, first } = since(store.cursor);
      const at = recovered ? store.cursor : recovered === undefined && !state ? cursorOf(last()) : undefined;
      const data = { clientId: "c", ...(recovered !== undefined && { recovered }), ...(state && { state: !recovered }) };
      streams.add(mine);
      mine.send(control("connected", data, at), () => become({ state: "connected", error: null }));
      first.forEach((given) => mine.send(given));
    };

    function retry() {
      close();
      tab.task(() => become({ state: "connecting" }));
      timer = clock.setTimeout(open, RETRY_MS);
    }

    return {
      start() {
        become({ state: "connecting", error: null });
        open();
      },
      stop() {
        close();
        become({ state: "disconnected" });
      },
      hint: () => void hinted.push(tab),
      reconnect: open,
      get status() {
        return status;
      },
      catchUp: (signal) =>
        new Promise((resolve, reject) => {
          const poll = () =>
            tab.task(async () => {
              await held;
              const cursor = store.cursor;
              if (signal?.aborted || offline) {
                reject(new Error("no answer"));
                return;
              }
              const { recovered, first } = since(cursor);
              const end = Math.min(numberOf(cursor) + POLL_LIMIT, last());
              if (!recovered) {
                store.apply(control("reset", { reason: "trimmed" }, cursorOf(last())));
                resolve();
                return;
              }
              first.slice(0, POLL_LIMIT).forEach((given) => store.apply(given));
              store.apply(control("poll", undefined, cursorOf(end)));
              if (end < last()) {
                poll();
              } else {
                resolve();
              }
            });
          poll();
        }),
    };
  };

  return {
    connect,
    last,
    state: () => current,
    publish(entityId = `O-${(events.length % 7) + 1}`) {
      const number = events.length + 1;
      const data = { orderID: entityId, n: number };
      current.set(entityId, data);
      events.push({ id: cursorOf(number), eventType: "stage_change", entityType: "order", entityId, action: "update", data });
      streams.forEach((stream) => stream.send(message(number)));
      return number;
    },
    hinted: () => hinted,
    trim() {
      trimmed = last();
    },
    cut: () => [...streams].forEach((stream) => stream.cut()),
    setOffline(value) {
      offline = value;
    },
    /** No poll is answered before `promise` is settled. */
    holdPolls(promise) {
      held = promise;
    },
    /** `of(tab)`: the status with which a tab's token is refused, or null. */
    refuse(of) {
      refuses = of;
    },
    streams: () => [...streams].filter(({ tab }) => !tab.dead),
  };
}
