// A client that migrates: it polls or streams as the gateway says, and changes over with the cursor in hand.

import { CLIENT_ID, OrderList, fetchMode, report, sleep } from "/demo/gateway.js";

const RETRY_MS = 2000;
const MUTE_AFTER_MS = 10_000;
const SHORT_MS = 5000;
const MOST_FAILURES = 3;
const FALLBACK_MS = 60_000;
const ORDER_EVENTS = [
  "order_created",
  "order_deleted",
  "order_updated",
  "stage_change",
  "payment_update",
  "status_update",
];

/** The right side of the page. */
export class Subscriber {
  constructor(panel) {
    this.panel = panel;
    this.list = new OrderList(panel);
    this.source = null;
    // Where this client is; the same text for polling and streaming.
    this.cursor = null;
    // Each new attempt has a turn of its own; what an earlier one still waits for is then dropped.
    this.turn = 0;
    // What has come so far of a state.
    this.state = [];
    // Events that come while a refetch is under way; null where none is.
    this.pending = null;
    this.streaming = false;
    // Streams in a row that could not be opened, or ended at once.
    this.failures = 0;
    this.streamsAgainAt = 0;
  }

  /** Polls for as long as the gateway wants that, and then streams from where the last answer stands. */
  async run(delayMs = 0) {
    this.stop();
    const turn = ++this.turn;
    await sleep(delayMs);
    while (turn === this.turn) {
      const next = await this.next();
      if (turn !== this.turn) {
        return;
      }
      if (next.streamUrl) {
        this.stream(next.streamUrl);
        return;
      }
      await sleep(next.waitMs);
    }
  }

  stop() {
    this.source?.close();
    this.source = null;
    this.pending = null;
    this.streaming = false;
    clearTimeout(this.muteTimer);
  }

  /** Gives {streamUrl} where a stream is to follow; else polls once, and gives {waitMs}. */
  async next() {
    try {
      const terms = await fetchMode(CLIENT_ID);
      if (terms.mode === "streaming" && Date.now() >= this.streamsAgainAt) {
        return { streamUrl: terms.streamUrl };
      }
      const answer = await this.list.load();
      if (answer.docs) {
        this.panel.replace(answer.docs);
      }
      this.cursor = answer.cursor ?? this.cursor;
      const why = terms.mode === "streaming" ? "since push failed here" : "as the gateway asks";
      this.panel.status("waiting", `polling every ${terms.pollIntervalMs / 1000} s, ${why}`);
      return { waitMs: terms.pollIntervalMs };
    } catch (error) {
      this.panel.status("bad", error.message);
      return { waitMs: RETRY_MS };
    }
  }

  /** Goes on from where this client is; where it is nowhere, or that is over, the state comes first. */
  stream(streamUrl) {
    this.panel.figures.requests += 1;
    this.panel.status("waiting", "connecting");
    const resume = this.cursor ? `&lastEventId=${encodeURIComponent(this.cursor)}` : "";
    const source = new EventSource(`${streamUrl}&state=with${resume}`);
    this.source = source;
    this.openedAt = Date.now();
    this.muteTimer = setTimeout(() => this.fallBack("mute"), MUTE_AFTER_MS);
    const on = (type, handle) =>
      source.addEventListener(type, (event) => {
        this.cursor = event.lastEventId || this.cursor;
        handle(JSON.parse(event.data));
      });
    on("connected", (connected) => this.connected(connected));
    on("heartbeat", () => {});
    on("state", (part) => this.takeState(part));
    on("reset", (reset) => this.beginAnew(reset));
    on("fetch-mode", (change) => this.changeMode(change));
    on("bye", (bye) => this.leave(bye));
    ORDER_EVENTS.forEach((type) => on(type, (event) => this.receive(event)));
    source.addEventListener("error", () => this.lost(source));
  }

  connected({ clientId, recovered, state }) {
    clearTimeout(this.muteTimer);
    this.streaming = true;
    this.connectedAt = Date.now();
    this.panel.status("good", "streaming");
    report({ clientId, mode: "streaming", firstEventMs: this.connectedAt - this.openedAt });
    if (!recovered && !state) {
      // Nothing knows the state that this stream would begin with.
      this.refetch(0);
    }
  }

  /** One part of the state; with the last one it is whole, and the stream's events follow. */
  takeState({ items, part, last }) {
    this.state = part === 1 ? items : this.state.concat(items);
    if (last) {
      this.panel.replace(this.state.map(({ entityId, data }) => ({ ...data, orderID: entityId })));
      this.panel.status("good", "streaming");
    }
  }

  /** The stream has a gap: the state follows, or the list is to be had elsewhere. */
  beginAnew({ state, jitterMs }) {
    if (state) {
      this.cursor = null;
      this.panel.status("waiting", "beginning anew");
    } else {
      this.refetch(jitterMs);
    }
  }

  receive(event) {
    if (this.pending) {
      this.pending.push(event);
    } else {
      this.apply(event);
    }
  }

  apply({ action, entityId, data }) {
    if (action === "delete" || action === "leave") {
      this.panel.remove(entityId);
    } else {
      this.panel.put({ ...data, orderID: entityId });
    }
  }

  /** The stream has a gap: takes the list anew, and then what the stream brought meanwhile. */
  async refetch(jitterMs) {
    const turn = ++this.turn;
    this.pending ??= [];
    this.panel.status("waiting", "catching up");
    await sleep(Math.random() * jitterMs);
    let answer = null;
    while (turn === this.turn && !answer) {
      answer = await this.list.load().catch((error) => this.panel.status("bad", error.message));
      await sleep(answer ? 0 : RETRY_MS);
    }
    if (turn === this.turn) {
      this.panel.replace(answer.docs ?? this.panel.orders());
      this.pending.forEach((event) => this.apply(event));
      this.pending = null;
      this.panel.status("good", "streaming");
    }
  }

  changeMode({ mode, delayMs }) {
    if (mode === "polling") {
      this.panel.status("waiting", "changing to polling, as the gateway asks");
      this.run(delayMs);
    }
  }

  /** The gateway ends the stream. Unless it says to reconnect, the next poll says how to go on. */
  leave({ reason, reconnect, retryMs }) {
    this.connectedAt = null;
    if (reconnect) {
      this.panel.status("waiting", `the gateway ended the stream (${reason}); back in ${retryMs / 1000} s`);
    } else if (this.streaming) {
      this.run();
    }
  }

  lost(source) {
    if (source !== this.source) {
      return;
    }
    const short = this.connectedAt && Date.now() - this.connectedAt < SHORT_MS;
    this.connectedAt = null;
    if (source.readyState === EventSource.CLOSED) {
      this.refused();
    } else {
      // The browser reconnects by itself, with Last-Event-ID.
      this.failures = short ? this.failures + 1 : 0;
      this.openedAt = Date.now();
      this.panel.figures.requests += 1;
      this.panel.status("waiting", "reconnecting");
      if (this.failures >= MOST_FAILURES) {
        this.fallBack("short");
      }
    }
  }

  /** Any status but 200 ends an EventSource. A 204 says to poll; anything else is a failure. */
  async refused() {
    const turn = ++this.turn;
    this.stop();
    const terms = await fetchMode(CLIENT_ID).catch(() => null);
    if (turn !== this.turn) {
      return;
    }
    this.failures = terms?.mode === "streaming" ? this.failures + 1 : 0;
    if (this.failures >= MOST_FAILURES) {
      this.fallBack("error");
    } else {
      this.run(RETRY_MS);
    }
  }

  /** Push does not work here: says so, and polls for a while. */
  fallBack(reason) {
    report({ clientId: CLIENT_ID, mode: "polling", fallback: reason });
    this.failures = 0;
    this.streamsAgainAt = Date.now() + FALLBACK_MS;
    this.run();
  }
}
