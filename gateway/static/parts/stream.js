// One stream by fetch: opened, read, watched, closed.

import { createParser } from "./eventstream.js";
import { failure } from "./request.js";

const MUTE_MS = 8000;
const TICK_MS = 5000; // A machine that slept has another time, and none of its timers knows.
const HEARTBEAT_SECONDS = 15;
const TURN_BYTES = 65536; // So much of a backlog keeps a page busy for some 5 ms; a read may bring megabytes.
const CONTROL = new Set(
  "connected reset state heartbeat refresh fetch-mode token-expiring bye presence broadcast".split(" "),
);

function messageOf({ event, data, id }) {
  let value = null;
  try {
    value = JSON.parse(data);
  } catch {
    // The store counts what is no JSON object.
  }
  return { type: event, id: id || undefined, data: value, control: CONTROL.has(event) };
}

// A timer would do, but in a hidden page it waits for a second.
const nextTurn = () =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => resolve(port1.close());
    port2.postMessage(null);
  });

/** `onEnd(failure)` comes once, unless it is closed before; nothing comes after either. */
export function openStream({ request, clock, params, onMessage, onRetry, onEnd }) {
  const controller = new AbortController();
  let closed = false;
  let heard = false;
  let limitMs = MUTE_MS;
  let last = null;
  let timer = null;
  let reader = null;

  const touch = () => (last = [clock.now(), clock.wall()]);

  const stream = {
    controller,
    token: null,
    heartbeatMs: null,
    openedAt: clock.now(),
    close() {
      closed = true;
      clock.clearTimeout(timer);
      controller.abort();
      reader?.cancel().catch(() => {});
    },
    /** Ends it where nothing was heard for too long, by either clock. */
    check() {
      clock.clearTimeout(timer);
      if (closed || !last) {
        return;
      }
      const silentMs = Math.max(clock.now() - last[0], clock.wall() - last[1]);
      if (silentMs >= limitMs) {
        end(failure("Nothing came in time.", { why: heard ? "error" : "mute" }));
      } else {
        timer = clock.setTimeout(stream.check, Math.min(TICK_MS, limitMs - silentMs));
      }
    },
  };

  function end(reason) {
    if (!closed) {
      stream.close();
      onEnd(reason);
    }
  }

  function take(frame) {
    if (closed) {
      return;
    }
    const message = messageOf(frame);
    if (message.type === "connected" && message.data) {
      stream.heartbeatMs = 1000 * (message.data.heartbeatSeconds || HEARTBEAT_SECONDS);
      limitMs = 2.5 * stream.heartbeatMs;
      touch();
    }
    onMessage(message);
  }

  function sent(token) {
    stream.token = token;
    stream.openedAt = clock.now();
    touch();
    stream.check();
  }

  async function read() {
    const accept = "text/event-stream";
    const response = await request("events", params, { controller, accept, waitMs: 0, sent });
    if (response.status === 204) {
      throw failure("No event stream.", { status: 204 });
    }
    if (!response.headers.get("Content-Type")?.startsWith(accept)) {
      throw failure("No event stream.", { why: "blocked" });
    }
    const parser = createParser({ onFrame: take, onRetry });
    reader = response.body.getReader();
    let bytes = 0; // Since the page had a turn: what has come already is read without one between.
    for (;;) {
      const { done, value } = await reader.read();
      if (done || closed) {
        throw failure("The stream ended.");
      }
      heard = true;
      if (stream.heartbeatMs) {
        touch();
      }
      for (let at = 0; at < value.length; at += TURN_BYTES) {
        const part = value.subarray(at, at + TURN_BYTES);
        parser.feed(part);
        bytes += part.length;
        if (bytes >= TURN_BYTES) {
          await nextTurn();
          bytes = 0;
        }
      }
    }
  }

  read().catch(end);
  return stream;
}
