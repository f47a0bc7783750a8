// A clock turned by hand: what is due runs in order, and promises settle before the next.

/** Lets everything that is under way in promises and streams come to rest. */
export async function settle() {
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/**
 * A clock as `createEnvironment` takes it, and beside it: `advance(ms)`, which runs all timers that fall due one
 * after the other; `sleep(ms, {monotonic})`, a machine that slept: the time is another (`now` only where `monotonic`
 * says so, as browsers differ) and what fell due meanwhile runs late, at the next `advance`; and `pending()`, how
 * many timers wait.
 */
export function createClock({ now = 0, wall = Date.UTC(2026, 10, 20, 10, 30) } = {}) {
  let nowMs = now;
  let wallMs = wall;
  let lastId = 0;
  const timers = new Map();

  const earliest = () =>
    [...timers.values()].reduce((first, timer) => (first && first.at <= timer.at ? first : timer), null);

  const runUntil = async (target) => {
    await settle();
    for (let timer = earliest(); timer && timer.at <= target; timer = earliest()) {
      const waited = Math.max(0, timer.at - nowMs);
      nowMs += waited;
      wallMs += waited;
      timers.delete(timer.id);
      timer.run();
      await settle();
    }
  };

  return {
    now: () => nowMs,
    wall: () => wallMs,
    setTimeout(run, ms = 0) {
      lastId += 1;
      timers.set(lastId, { id: lastId, at: nowMs + Math.max(0, ms), run });
      return lastId;
    },
    clearTimeout: (id) => void timers.delete(id),
    async advance(ms) {
      const target = nowMs + ms;
      await runUntil(target);
      const rest = Math.max(0, target - nowMs);
      wallMs += rest;
      nowMs += rest;
      await settle();
    },
    sleep(ms, { monotonic = true } = {}) {
      wallMs += ms;
      nowMs += monotonic ? ms : 0;
    },
    pending: () => timers.size,
  };
}
