// What this page asks of the gateway, and who it says it is.

export const COMPONENT = "orders";
export const ORDERS = "/api/v1/orders";
export const CLIENT_VERSION = "1.0.0";
/** A client that the address names: this window is a client of its own, beside others of this browser. */
export const NAMED = new URLSearchParams(location.search).get("client");
export const CLIENT_ID = ownClientId();

const POLL_EVERY_MS = 5000;

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The one that the address names; else the same at every visit, so that a cohort that it is in keeps it. */
function ownClientId() {
  if (NAMED) {
    return NAMED;
  }
  const known = localStorage.getItem("tidegate-client-id");
  const id = known ?? `browser-${Math.random().toString(36).slice(2, 8)}`;
  localStorage.setItem("tidegate-client-id", id);
  return id;
}

/** The JSON of a GET; throws an Error whose message can be shown. */
export async function getJson(path) {
  const response = await fetch(path, { cache: "no-store" });
  if (!response.ok) {
    throw new Error(`the gateway answered ${response.status}`);
  }
  return response.json();
}

/** Sends JSON and gives the answer's; throws an Error whose message can be shown. */
export async function sendJson(method, path, body, fields = {}) {
  const headers = { "Content-Type": "application/json", ...fields };
  const request = { method, headers, body: JSON.stringify(body) };
  const response = await fetch(path, request).catch((error) => {
    throw new Error(`Not sent: ${error.message}`);
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Error(`Refused: ${answer.message ?? answer.detail ?? response.status}`);
  }
  return answer;
}

/** What a client gets: {mode, stage, reason, cause, revision, streamUrl, pollIntervalMs, …}. */
export function fetchMode(clientId) {
  const caller = new URLSearchParams({
    component: COMPONENT,
    clientId,
    clientVersion: CLIENT_VERSION,
  });
  return getJson(`/api/v1/sync/fetch-mode?${caller}`);
}

/** The list again and again, whatever the migration's stage: what every client did before. */
export class Poller {
  constructor(panel) {
    this.panel = panel;
    this.etag = null;
    this.nextAt = 0;
    this.problem = null;
  }

  async run() {
    for (;;) {
      this.problem = await this.poll().catch((error) => error.message);
      this.nextAt = Date.now() + POLL_EVERY_MS;
      await sleep(POLL_EVERY_MS);
    }
  }

  /** Gives what is wrong, or null. Throws an Error whose message can be shown. */
  async poll() {
    this.panel.figures.requests += 1;
    const headers = { "Tidegate-Client-Id": CLIENT_ID, "Tidegate-Client": `demo-page/${CLIENT_VERSION}` };
    // The page's own If-None-Match, not the browser cache's, so that a 304 is seen and counted as one.
    if (this.etag) {
      headers["If-None-Match"] = this.etag;
    }
    const response = await fetch(ORDERS, { headers, cache: "no-store" });
    if (response.ok) {
      this.panel.replace((await response.json()).docs);
      this.etag = response.headers.get("ETag");
    }
    if (response.status === 410) {
      return "410: polling is over";
    }
    return response.ok || response.status === 304 ? null : `the gateway answered ${response.status}`;
  }

  tick() {
    const seconds = Math.max(0, Math.ceil((this.nextAt - Date.now()) / 1000));
    const next = `next request in ${seconds} s`;
    this.panel.status(this.problem ? "bad" : "good", this.problem ? `${this.problem}; ${next}` : next);
    this.panel.tick();
  }
}
