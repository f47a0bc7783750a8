// Calls a page's refetch where what it shows has changed: once for a burst, and one at a time.

// How long after the gateway's hint was due events alone count: a poll brings no hints.
const GRACE_MS = 1000;

const DEBOUNCE_MS = 500;
const MAX_WAIT_MS = 2000;

/** A stream has one timing of hints: whoever wants another goes by events. */
export const isTimedAs = (settings, { debounceMs, maxWaitMs }) =>
  (debounceMs ?? DEBOUNCE_MS) === (settings.debounceMs || DEBOUNCE_MS) &&
  (maxWaitMs ?? MAX_WAIT_MS) === (settings.maxWaitMs || MAX_WAIT_MS);

export function autoRefresh({ environment: { clock, random }, store, hinted, report, missed }, entity, refetch, options) {
  const { eventTypes, debounceMs = DEBOUNCE_MS, maxWaitMs = MAX_WAIT_MS } = options ?? {};
  const entities = entity == null ? undefined : [entity].flat();
  let timer = null;
  let dueAt = Infinity;
  // When the first event came of those that wait; null where none does, or a hint says when.
  let eventAt = null;
  let running = false;
  let again = false;

  const runAt = (at) => {
    clock.clearTimeout(timer);
    dueAt = at;
    timer = clock.setTimeout(run, Math.max(0, at - clock.now()));
  };

  async function run() {
    dueAt = Infinity;
    eventAt = null;
    again = running;
    if (running) return;
    running = true;
    try {
      await refetch();
    } catch (error) {
      report(error);
    }
    running = false;
    if (again) run();
  }

  const told = ({ jitterMs = 0 }) => {
    const at = clock.now() + random() * jitterMs;
    if (eventAt !== null || at < dueAt) runAt(at);
    eventAt = null;
  };

  const concerns = ({ entityType, entityId, eventTypes: types }) =>
    (!eventTypes || types.some((type) => eventTypes.includes(type))) &&
    (!entities ||
      entities.some(
        (name) =>
          name === entityType ||
          (entityId === undefined ? name.startsWith(`${entityType}:`) : name === `${entityType}:${entityId}`),
      ));

  const offs = [
    store.on("reset", told),
    store.on("refresh", (hint) => hinted() && concerns(hint) && told(hint)),
    store.subscribe({ entities, eventTypes }, () => {
      // A refetch that a hint has asked for covers this too.
      if (dueAt < Infinity && eventAt === null) return;
      const now = clock.now();
      eventAt ??= now;
      runAt(hinted() ? eventAt + maxWaitMs + GRACE_MS : Math.min(now + debounceMs, eventAt + maxWaitMs));
    }),
  ];
  if (missed) told({});
  return () => {
    again = false;
    clock.clearTimeout(timer);
    offs.forEach((off) => off());
  };
}
