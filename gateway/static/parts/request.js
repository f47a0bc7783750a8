// A request to the gateway, and what its refusal means.

const ANSWER_MS = 8000;
const LONGEST_RETRY_AFTER_MS = 3_600_000;
const MENDED_BY_TRYING = [407, 408, 410, 425, 429];
const ADVICE = {
  400: "Check the options: the gateway can't read the selection.",
  401: "Sign in again, and let getToken give a token that the gateway takes.",
  403: "Ask for less, or get a token that is granted it.",
  404: "Check baseUrl: there is no gateway.",
  421: "Add this host to server.hosts of the gateway.",
};

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

  /** `promise`, but no later than in `ms`, and no longer than until `controller` aborts: some fetches never settle. */
  const within = (ms, controller, promise) =>
    new Promise((resolve, reject) => {
      const { signal } = controller;
      const late = () => controller.abort(failure(`No answer within ${ms / 1000} s.`, { silent: true }));
      const timer = ms && clock.setTimeout(late, ms);
      const stop = () => {
        clock.clearTimeout(timer);
        reject(signal.reason);
      };
      const settle = (done) => (value) => {
        clock.clearTimeout(timer);
        signal.removeEventListener("abort", stop);
        done(value);
      };
      if (signal.aborted) {
        stop();
      }
      signal.addEventListener("abort", stop);
      promise.then(settle(resolve), settle(reject));
    });

  async function refusal(response, controller) {
    const { status } = response;
    const fatal = status >= 400 && status < 500 && !MENDED_BY_TRYING.includes(status);
    const problem = fatal ? await within(ANSWER_MS, controller, response.json()).catch(() => ({})) : {};
    response.body?.cancel?.().catch(() => {});
    const detail = [`The gateway answered ${status}.`, problem?.detail, fatal && ADVICE[status]];
    return failure(detail.filter(Boolean).join(" "), {
      status,
      fatal,
      retryAfterMs: retryAfterMs(response, clock),
    });
  }

  async function request(
    path,
    params,
    { controller = new AbortController(), accept = "application/json", waitMs = ANSWER_MS, sent, method, body },
  ) {
    const send = (token) => {
      sent?.(token);
      const headers = { Accept: accept, ...(token && { Authorization: `Bearer ${token}` }) };
      if (body) headers["Content-Type"] = "application/json";
      const { credentials } = settings;
      const options = { headers, credentials, cache: "no-store", signal: controller.signal };
      if (body) Object.assign(options, { method, body, keepalive: true });
      return within(waitMs, controller, environment.fetch(`${settings.baseUrl}/api/v1/sync/${path}?${params}`, options));
    };
    const token = await within(0, controller, tokens.get());
    let response = await send(token);
    if (response.status === 401 && settings.getToken) {
      response = await send(await within(0, controller, tokens.get(token)));
    }
    if (!response.ok) {
      throw await refusal(response, controller);
    }
    return response;
  }

  /** The same, and its JSON. */
  request.json = async (path, params, options) => {
    const response = await request(path, params, options);
    return within(4 * ANSWER_MS, options.controller, response.json());
  };
  return request;
}
