// The same orders twice: polled with fetch on the left, pushed through EventSource on the right.
"use strict";

const ORDERS = "/api/v1/orders";
const EVENTS = "/api/v1/sync/events?entity=order";
const COMPONENT = "orders";
const POLL_MS = 5000;
const RETRY_MS = 2000;
const NEXT_STAGE = { empty: "initiated", initiated: "open", open: "billed", billed: "paid" };
const ORDER_EVENTS = [
  "order_created",
  "order_deleted",
  "order_updated",
  "stage_change",
  "payment_update",
  "status_update",
];

const COLUMNS = [
  { text: (order) => order.orderID },
  { text: (order) => order.customer },
  { text: (order) => Number(order.amount).toFixed(2), number: true },
  { text: (order) => order.orderStage },
  { text: (order) => order.paymentStatus },
  { text: (order) => order.overallStatus.replace("_", " ") },
];

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** One side of the page: its orders, figures and status. It knows nothing of how they come here. */
class Panel {
  constructor(id) {
    this.section = document.getElementById(id);
    this.section.append(document.getElementById("panel").content.cloneNode(true));
    this.body = this.section.querySelector("tbody");
    this.rows = new Map();
    this.loaded = false;
    this.figures = { requests: 0, changes: 0, delaySumMs: 0, delays: 0 };
  }

  orders() {
    return [...this.rows.values()].map((row) => row.order);
  }

  /** The whole list as of now: what is not in it is gone. */
  replace(orders) {
    const ids = new Set(orders.map((order) => order.orderID));
    for (const id of [...this.rows.keys()].filter((id) => !ids.has(id))) {
      this.remove(id);
    }
    orders.forEach((order) => this.put(order));
    this.loaded = true;
  }

  /** One order, or the members of it that are known; what is shown already changes nothing. */
  put(members) {
    const known = this.rows.get(members.orderID);
    const order = { ...known?.order, ...members };
    const texts = COLUMNS.map((column) => column.text(order));
    if (known && known.texts.every((text, index) => text === texts[index])) {
      known.order = order;
      return;
    }
    const row = known ?? this.addRow(order.orderID);
    Object.assign(row, { order, texts, changedAt: Date.now() });
    texts.forEach((text, index) => {
      row.element.cells[index].textContent = text;
    });
    if (this.loaded) {
      this.light(row.element);
      this.countChange(order.updatedAt);
    }
  }

  remove(id) {
    const row = this.rows.get(id);
    if (row) {
      row.element.remove();
      this.rows.delete(id);
      this.figures.changes += 1;
    }
  }

  addRow(id) {
    // As numbers, so that ORDER-1000 comes after ORDER-999.
    const later = (other) => other.localeCompare(id, "en", { numeric: true }) > 0;
    const after = [...this.body.rows].find((other) => later(other.cells[0].textContent));
    const element = this.body.insertRow(after ? after.sectionRowIndex : -1);
    for (const column of [...COLUMNS, { number: true }]) {
      element.insertCell().className = column.number ? "number" : "";
    }
    const row = { element };
    this.rows.set(id, row);
    return row;
  }

  light(element) {
    element.classList.remove("changed");
    // Reading a measure makes the browser see the class gone, so that the animation starts again.
    void element.offsetWidth;
    element.classList.add("changed");
  }

  countChange(updatedAt) {
    const delayMs = Date.now() - Date.parse(updatedAt);
    this.figures.changes += 1;
    if (Number.isFinite(delayMs)) {
      this.figures.delaySumMs += Math.max(0, delayMs);
      this.figures.delays += 1;
    }
  }

  status(state, text) {
    const element = this.section.querySelector(".status");
    if (element.textContent !== text) {
      element.textContent = text;
    }
    element.dataset.state = state;
  }

  /** Writes the figures and the rows' ages; called from one timer for the page. */
  tick() {
    const { requests, changes, delaySumMs, delays } = this.figures;
    const delay = delays ? `${(delaySumMs / delays / 1000).toFixed(1)} s` : "none yet";
    const texts = { requests, changes, delay };
    for (const [name, text] of Object.entries(texts)) {
      this.section.querySelector(`[data-figure="${name}"]`).textContent = text;
    }
    for (const { element, changedAt } of this.rows.values()) {
      element.cells[COLUMNS.length].textContent = `${Math.floor((Date.now() - changedAt) / 1000)} s`;
    }
  }
}

/** Fetches the list for a panel, conditionally, and counts what that costs. */
class OrderList {
  constructor(panel) {
    this.panel = panel;
    this.etag = null;
    this.docs = null;
  }

  /** Gives {docs, cursor, mode}; throws an Error whose message can be shown. */
  async load() {
    this.panel.figures.requests += 1;
    // The page's own If-None-Match, not the browser cache's, so that a 304 is seen and counted as one.
    const headers = this.etag ? { "If-None-Match": this.etag } : {};
    const response = await fetch(ORDERS, { headers, cache: "no-store" });
    if (response.status !== 304) {
      if (!response.ok) {
        throw new Error(`the gateway answered ${response.status}`);
      }
      this.docs = (await response.json()).docs;
      this.etag = response.headers.get("ETag");
    }
    return {
      docs: this.docs,
      cursor: response.headers.get("Sync-Cursor"),
      mode: response.headers.get("Fetch-Mode"),
    };
  }
}

/** The left side: the list again and again. */
class Poller {
  constructor(panel) {
    this.panel = panel;
    this.list = new OrderList(panel);
    this.nextAt = 0;
  }

  async run() {
    for (;;) {
      try {
        this.panel.replace((await this.list.load()).docs);
        this.failure = null;
      } catch (error) {
        this.failure = error.message;
      }
      await showUpstream();
      this.nextAt = Date.now() + POLL_MS;
      await sleep(POLL_MS);
    }
  }

  tick() {
    const seconds = Math.max(0, Math.ceil((this.nextAt - Date.now()) / 1000));
    const next = `next request in ${seconds} s`;
    this.panel.status(this.failure ? "bad" : "good", this.failure ? `${this.failure}; ${next}` : next);
    this.panel.tick();
  }
}

/** The right side: the list once, then its changes from the very position that the list stands for. */
class Subscriber {
  constructor(panel) {
    this.panel = panel;
    this.list = new OrderList(panel);
    this.source = null;
    // Each new attempt has a turn of its own; what an earlier one still waits for is then dropped.
    this.turn = 0;
    // Events that come while a refetch is under way; null where none is.
    this.pending = null;
  }

  /** Loads the list and streams from there, or polls for as long as the gateway wants that. */
  async run(delayMs = 0) {
    this.source?.close();
    this.pending = null;
    const turn = ++this.turn;
    await sleep(delayMs);
    while (turn === this.turn) {
      const answer = await this.tryLoad();
      if (turn !== this.turn) {
        return;
      }
      if (answer) {
        this.panel.replace(answer.docs);
      }
      if (answer && answer.mode !== "polling") {
        this.stream(answer.cursor);
        return;
      }
      if (answer) {
        this.panel.status("waiting", "polling, as the gateway asks");
      }
      await sleep(answer ? POLL_MS : RETRY_MS);
    }
  }

  async tryLoad() {
    try {
      return await this.list.load();
    } catch (error) {
      this.panel.status("bad", error.message);
      return null;
    }
  }

  stream(cursor) {
    const resume = cursor ? `&lastEventId=${encodeURIComponent(cursor)}` : "";
    this.panel.figures.requests += 1;
    this.panel.status("waiting", "connecting");
    const source = new EventSource(EVENTS + resume);
    this.source = source;
    const on = (type, handle) =>
      source.addEventListener(type, (event) => handle(JSON.parse(event.data)));
    on("connected", () => this.panel.status("good", "connected"));
    on("reset", ({ jitterMs }) => this.refetch(jitterMs));
    on("fetch-mode", (change) => this.changeMode(change));
    on("bye", (bye) => this.leave(bye));
    ORDER_EVENTS.forEach((type) => on(type, (event) => this.receive(event)));
    source.addEventListener("error", () => this.lost(source));
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
      answer = await this.tryLoad();
      await sleep(answer ? 0 : RETRY_MS);
    }
    if (turn === this.turn) {
      this.panel.replace(answer.docs);
      this.pending.forEach((event) => this.apply(event));
      this.pending = null;
      this.panel.status("good", "connected");
    }
  }

  changeMode({ component, mode, delayMs }) {
    if (component === COMPONENT && mode === "polling") {
      this.panel.status("waiting", "changing to polling, as the gateway asks");
      this.run(delayMs);
    }
  }

  leave({ reason, reconnect, retryMs }) {
    if (reconnect) {
      this.panel.status("waiting", `the gateway ended the stream (${reason}); back in ${retryMs / 1000} s`);
    } else {
      this.panel.status("waiting", `the gateway ended the stream (${reason})`);
      this.run(POLL_MS);
    }
  }

  lost(source) {
    if (source !== this.source) {
      return;
    }
    if (source.readyState === EventSource.CLOSED) {
      this.panel.status("bad", "the gateway refused the stream; trying again");
      this.run(POLL_MS);
    } else {
      // The browser reconnects by itself, with Last-Event-ID.
      this.panel.figures.requests += 1;
      this.panel.status("waiting", "reconnecting");
    }
  }
}

/** How often the gateway itself has asked the orders application. */
async function showUpstream() {
  const footer = document.getElementById("upstream");
  try {
    const response = await fetch("/demo/stats", { cache: "no-store" });
    if (!response.ok) {
      throw new Error(`status ${response.status}`);
    }
    const { requests } = await response.json();
    const asked = (requests.list ?? 0).toLocaleString("en");
    footer.textContent =
      `The orders application has been asked for its list ${asked} times, by the gateway alone: ` +
      "about once a second, however many pages like this one are open.";
  } catch (error) {
    footer.textContent = `The orders application's own count is not to be had (${error.message}).`;
  }
}

function note(text) {
  document.getElementById("note").textContent = text;
}

async function send(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  try {
    const response = await fetch(path, { method, headers, body: JSON.stringify(body) });
    const answer = await response.json();
    if (!response.ok) {
      note(`Refused: ${answer.message ?? answer.detail ?? response.status}`);
      return null;
    }
    return answer;
  } catch (error) {
    note(`Not sent: ${error.message}`);
    return null;
  }
}

async function createOrder() {
  const order = await send("POST", ORDERS, { customer: "You", amount: Math.ceil(Math.random() * 999) });
  if (order) {
    note(`${order.orderID} created.`);
  }
}

async function advanceOrder(panel) {
  const movable = panel
    .orders()
    .filter((order) => NEXT_STAGE[order.orderStage] && order.overallStatus !== "on_hold");
  if (movable.length === 0) {
    note("No order can be advanced now.");
    return;
  }
  const { orderID, orderStage } = movable[Math.floor(Math.random() * movable.length)];
  const target = NEXT_STAGE[orderStage];
  if (await send("PATCH", `${ORDERS}/${encodeURIComponent(orderID)}`, { orderStage: target })) {
    note(`${orderID} advanced from ${orderStage} to ${target}.`);
  }
}

function main() {
  const poller = new Poller(new Panel("polled"));
  const subscriber = new Subscriber(new Panel("pushed"));
  document.getElementById("create").addEventListener("click", createOrder);
  document.getElementById("advance").addEventListener("click", () => advanceOrder(subscriber.panel));
  setInterval(() => {
    poller.tick();
    subscriber.panel.tick();
  }, 250);
  poller.run();
  subscriber.run();
}

main();
