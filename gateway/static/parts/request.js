// A request to the gateway, and what its refusal means.

const ANSWER_MS = 8000;
const LONGEST_RETRY_AFTER_MS = 3_600_000;
const MENDED_BY_TRYING = [407, 408, 410, 425, 429];

export const failure = (message, members) => Object.assign(new Error(message), members);

/** Of a Response: in seconds or as a date (RFC 9110, section 10.2.3), 0 where it says nothing. */
export function retryAfterMs({ headers }, clock) {
  const text = headers.get("Retry-After");
  const ms = /^\d+$/.test(text) ? text * 1000 : Date.parse(text) - clock.wall();
  return Math.min(LONGEST_RETRY_AFTER_MS, Math.max(0, ms || 0));
}

/** Gives `request(path, params, options)` → the Response with a 2xx; throws an Error with `status`, `retryAfterMs`, `fatal`. */
export function createRequest({ settings, environment, tokens }) {
  const { clock } = environment;

  /** `promise`, but no later than in `ms`, and no longer than until `controller` aborts: some never settle. */
  function within(ms, controller, promise) {
    const { signal } = controller;
    return new Promise((resolve, reject) => {
      const timer = ms && clock.setTimeout(() => controller.abort(failure("Nothing came in time.")), ms);
      const done = (settle) => (value) => {
        clock.clearTimeout(timer);
        settle(value);
      };
      promise.then(done(resolve), done(reject));
      signal.addEventListener("abort", () => done(reject)(signal.reason));
    });
  }

  async function refusal(response, controller) {
    const { status } = response;
    const fatal = status >= 400 && status < 500 && !MENDED_BY_TRYING.includes(status);
    const problem = fatal && (await within(ANSWER_MS, controller, response.json()).catch(() => null));
    response.body?.cancel().catch(() => {});
    const message = problem?.detail ?? `The gateway answered ${status}.`;
    return failure(message, { status, fatal, retryAfterMs: retryAfterMs(response, clock) });
  }

  async function request(
    path,
    params,
    { controller = new AbortController(), accept = "application/json", waitMs = ANSWER_MS, sent, known, method, body },
  ) {
    async function send(token) {
      const headers = { Accept: accept };
      const options = { headers, credentials: settings.credentials, cache: "no-store", signal: controller.signal };
      if (token) {
        headers.Authorization = `Bearer ${token}`;
      }
      if (known?.etag) {
        headers["If-None-Match"] = known.etag;
      }
      if (body) {
        headers["Content-Type"] = "application/json";
        Object.assign(options, { method, body, keepalive: true });
      }
      controller.signal.throwIfAborted();
      sent?.(token);
      const asking = environment.fetch(`${settings.baseUrl}/api/v1/sync/${path}?${params}`, options);
      return within(waitMs, controller, asking);
    }
    const token = await tokens.get();
    let response = await send(token);
    if (response.status === 401 && settings.getToken) {
      response = await send(await tokens.get(token));
    }
    if (!response.ok && response.status !== 304) {
      throw await refusal(response, controller);
    }
    if (known) {
      known.etag = response.headers.get("ETag");
    }
    return response;
  }

  /** The same, and its JSON: null where the `etag` of `known` is still that of the resource. */
  request.json = async (path, params, options) => {
    const response = await request(path, params, options);
    return response.status === 304 ? null : within(4 * ANSWER_MS, options.controller, response.json());
  };
  return request;
}
