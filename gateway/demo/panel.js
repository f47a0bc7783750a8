// One table of orders with its figures. It knows nothing of how they come here.

const COLUMNS = [
  { text: (order) => order.orderID },
  { text: (order) => order.customer, wide: true },
  { text: (order) => Number(order.amount).toFixed(2), number: true },
  { text: (order) => order.orderStage },
  { text: (order) => order.paymentStatus },
  { text: (order) => order.overallStatus.replace("_", " "), wide: true },
];
const AGE = { number: true, wide: true };
const NO_FIGURES = { requests: 0, changes: 0, delaySumMs: 0, delays: 0 };

/** One side of the page: its orders, figures and status. */
export class Panel {
  constructor(id) {
    this.section = document.getElementById(id);
    this.section.append(document.getElementById("panel").content.cloneNode(true));
    this.body = this.section.querySelector("tbody");
    this.rows = new Map();
    this.loaded = false;
    this.figures = { ...NO_FIGURES };
  }

  /** Counts anew, so that two panels that begin together can be compared. */
  countAnew() {
    this.figures = { ...NO_FIGURES };
  }

  orders() {
    return [...this.rows.values()].map((row) => row.order);
  }

  /** The whole list: what is not in it is gone. A list may be a second old, and takes back nothing newer. */
  replace(orders) {
    const ids = new Set(orders.map((order) => order.orderID));
    for (const id of [...this.rows.keys()].filter((id) => !ids.has(id))) {
      this.remove(id);
    }
    const known = (id) => this.rows.get(id)?.order.updatedAt ?? "";
    orders.filter((order) => order.updatedAt >= known(order.orderID)).forEach((order) => this.put(order));
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
    for (const { number, wide } of [...COLUMNS, AGE]) {
      element.insertCell().className = [number && "number", wide && "wide"].filter(Boolean).join(" ");
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

