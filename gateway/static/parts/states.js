// What a connection can be, and what makes it something else.

// Whatever a connection is: one can close it, ask it to connect anew, and be refused for good.
const ALWAYS = { start: "connecting", pause: "paused", end: "disconnected", fail: "failed" };
// Nothing of the network counts where nothing is to be open.
const RESTING = { start: "connecting", end: "disconnected" };

export const TRANSITIONS = {
  initialized: ALWAYS,
  connecting: { ...ALWAYS, up: "connected", down: "unavailable" },
  connected: { ...ALWAYS, lost: "connecting", down: "unavailable" },
  unavailable: { ...ALWAYS, up: "connected" },
  paused: RESTING,
  disconnected: RESTING,
  failed: RESTING,
};

/** The state after `event`: the same where the table has none, for what comes late changes nothing. */
export const next = (state, event) => TRANSITIONS[state][event] ?? state;

const HEALTH = {
  initialized: "connecting",
  connecting: "connecting",
  unavailable: "error",
  failed: "error",
  paused: "disconnected",
  disconnected: "disconnected",
};

/** `reason` is why everything is polled, here or by the tab that this one follows. */
export const health = (state, reason) => HEALTH[state] ?? (reason ? "polling" : "healthy");
