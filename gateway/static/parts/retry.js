// How long to wait before the next try.

const FIRST_MS = 500;
const MOST_MS = 30_000;
const HEALTHY_MS = 60_000;

/** `delay(floorMs)` counts a failure; `worked(ms)` says for how long there was none. */
export function createRetry({ reconnectDelay, random }) {
  let failures = 0;
  let healthyMs = 0;
  return {
    delay(floorMs = 0) {
      const range = failures ? Math.min(MOST_MS, reconnectDelay * 2 ** failures) : FIRST_MS;
      const draw = random();
      failures += 1;
      // Everybody may have been given the same floor, so that is spread as well.
      return Math.max(draw * range, floorMs && floorMs + draw * FIRST_MS);
    },
    /** Summed up, since a proxy that cuts every stream after a while is no failing gateway. */
    worked(ms) {
      healthyMs += ms;
      if (healthyMs >= HEALTHY_MS) {
        this.reset();
      }
    },
    reset() {
      failures = healthyMs = 0;
    },
    get failures() {
      return failures;
    },
  };
}
