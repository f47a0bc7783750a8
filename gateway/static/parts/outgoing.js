// One request of the outbox: what is kept of it, and how it is sent.

import { failure, retryAfterMs } from "./request.js";
import { createRetry } from "./retry.js";

const ANSWER_MS = 30_000;
const METHODS = ["POST", "PUT", "PATCH", "DELETE"];
// Refusals that say nothing of the request itself.
const AGAIN = [408, 425, 429];
const KEPT_BODIES = ["Object", "Array", "String", "Number", "Boolean", "Null", "Undefined"];

export const randomText = (bytes) =>
  Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** What a text says as JSON; the text itself where it is none. */
export function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What is kept of a request as a page gave it; throws a TypeError for one that could never be sent. */
export function toKeep({ method = "POST", path, url, headers = {}, body, entity, optimistic }) {
  const must = (right, text) => {
    if (!right) throw new TypeError(`A request of the outbox ${text}.`);
  };
  const { "idempotency-key": key = randomText(16), ...fields } = Object.fromEntries(new Headers(headers));
  const tag = Object.prototype.toString.call(body).slice(8, -1);
  must(METHODS.includes(method), `has one of the methods ${METHODS.join(", ")}, not ${method}`);
  // What begins with two slashes would be another host.
  must(url ? !path : /^\/(?![/\\])/.test(path), 'has either a path, as "/api/v1/orders", or a url');
  if (url) new URL(url, globalThis.location?.href);
  must(!fields.authorization, "is kept, and no token with it: give createSync getToken");
  must(KEPT_BODIES.includes(tag), `is kept: its body is text or JSON, not ${tag}`);
  must(optimistic === undefined || entity, 'names the entity that it changes at once, as "order:O-1"');
  const change = typeof optimistic === "function" ? undefined : optimistic;
  return { method, path, url, headers: fields, body, entity, optimistic: change, key };
}

/** Gives `send(request, signal)` → the answer that counts, after as many tries as that takes; it throws where `signal` aborts. */
export function createSender({ environment, settings, tokens }) {
  const { clock, page } = environment;

  const once = ({ method, path, url, headers, body, key }, token, signal) => {
    const isJson = body !== undefined && typeof body !== "string";
    const fields = {
      ...(isJson && { "content-type": "application/json" }),
      ...headers,
      "Idempotency-Key": key,
      ...(token && { Authorization: `Bearer ${token}` }),
    };
    return environment.fetch(url ?? settings.baseUrl + path, {
      method,
      headers: fields,
      body: isJson ? JSON.stringify(body) : body,
      credentials: url ? "same-origin" : settings.credentials,
      signal,
    });
  };

  async function ask(request, signal) {
    // The token is for the gateway, and for no other address.
    const token = request.url ? null : await tokens.get();
    let response = await once(request, token, signal);
    if (response.status === 401 && token) response = await once(request, await tokens.get(token), signal);
    const { ok, status, headers } = response;
    const body = await response.json().catch(() => null);
    // A publication names its cursor in its body.
    const cursor = headers.get("Sync-Cursor") ?? body?.cursor;
    return { answer: { ok, status, cursor, body }, floorMs: retryAfterMs(response, clock) };
  }

  /** The same, with an end: some fetches never settle, aborted or not. */
  const asked = (request, signal) =>
    new Promise((resolve, reject) => {
      const controller = new AbortController();
      const end = () => {
        controller.abort();
        reject(failure("No answer."));
      };
      const timer = clock.setTimeout(end, ANSWER_MS);
      signal.addEventListener("abort", end);
      const done = (settle) => (value) => {
        clock.clearTimeout(timer);
        signal.removeEventListener("abort", end);
        settle(value);
      };
      ask(request, controller.signal).then(done(resolve), done(reject));
    });

  /** Waits; no longer than until the network is back, where nothing was answered. */
  const rest = (ms, answered, signal) =>
    new Promise((resolve) => {
      const end = () => {
        clock.clearTimeout(timer);
        signal.removeEventListener("abort", end);
        off?.();
        resolve();
      };
      const timer = clock.setTimeout(end, ms);
      const off = answered ? null : page?.on("online", end);
      signal.addEventListener("abort", end);
    });

  return async (request, signal) => {
    const retry = createRetry({ reconnectDelay: 1000, random: environment.random });
    for (;;) {
      const { answer, floorMs } = await asked(request, signal).catch(() => ({}));
      signal.throwIfAborted();
      if (answer && answer.status < 500 && !AGAIN.includes(answer.status)) return answer;
      await rest(retry.delay(floorMs), answer, signal);
      signal.throwIfAborted();
    }
  };
}
