// How far the migration is: the flag, this browser's mode, parity, the guard, and twenty made-up clients.

import { showCohorts } from "/demo/cohorts.js";
import { Controls } from "/demo/controls.js";
import { CLIENT_ID, COMPONENT, fetchMode, getJson, sleep } from "/demo/gateway.js";

const LOOK_EVERY_MS = 1000;
const FLAG = `/api/v1/admin/flags/${COMPONENT}`;
const CLIENTS = Array.from({ length: 20 }, (_, index) => `client-${String(index + 1).padStart(2, "0")}`);
const WORDS = {
  DEFAULT: "the stage's default",
  SPLIT: "by the percentage",
  TARGETING_MATCH: "by a targeting rule",
  STATIC: "no flag",
  STALE: "by the last good flags",
  kill_switch: "by the kill switch",
  auto_rollback: "after an automatic rollback",
  no_source: "nothing makes events",
  user_opt_in: "by its own choice",
  user_opt_out: "by its own choice",
};

const AGREEMENTS = ["match", "ignored", "push_behind", "push_ahead"];
const DIFFERENCES = ["missing", "extra", "duplicate", "reordered", "mismatch"];

/** The top of the page. `onMode` is called whenever this browser's mode is another than before. */
export class Migration {
  constructor(onMode) {
    this.clients = new Map(CLIENTS.map((id) => [id, addClient(id)]));
    this.controls = new Controls(() => this.look());
    this.onMode = onMode;
    this.mode = null;
    this.seen = null;
  }

  async run() {
    for (;;) {
      await this.look().catch((error) => show("reason", error.message));
      await sleep(LOOK_EVERY_MS);
    }
  }

  async look() {
    const terms = await fetchMode(CLIENT_ID);
    if (terms.mode !== this.mode) {
      this.mode = terms.mode;
      this.onMode(terms.mode);
    }
    const [flag, parity, guard, pollers] = await Promise.all([
      getJson(FLAG),
      getJson(`${FLAG}/parity`),
      getJson(`${FLAG}/guard`),
      getJson(`${FLAG}/pollers`),
    ]);
    showFlag(flag);
    this.controls.show(flag);
    showSaved(pollers);
    show("mode", terms.mode);
    show("reason", `${CLIENT_ID}: ${WORDS[terms.cause] ?? WORDS[terms.reason] ?? terms.reason}`);
    showParity(parity, guard);
    show("guard", `The guard: ${guard.sentence}`);
    showCohorts(guard);
    // What a client gets changes only with the flags.
    const now = [terms.revision, terms.reason, terms.cause].join();
    if (now !== this.seen) {
      await this.askForClients();
      this.seen = now;
    }
  }

  async askForClients() {
    const answers = await Promise.all(CLIENTS.map((id) => fetchMode(id)));
    answers.forEach(({ mode }, index) => {
      const element = this.clients.get(CLIENTS[index]);
      element.dataset.mode = mode;
      element.title = `${CLIENTS[index]}: ${mode}`;
    });
    const streaming = answers.filter(({ mode }) => mode === "streaming").length;
    show("cohort", `${streaming} of ${CLIENTS.length} are let stream`);
  }
}

function addClient(id) {
  const element = document.createElement("li");
  element.textContent = id.replace("client-", "");
  document.getElementById("clients").append(element);
  return element;
}

function showFlag({ stage, percentage, killed, latch, revision }) {
  const state = [killed && "killed", latch && "rolled back"].filter(Boolean).join(", ");
  document.getElementById("migration").dataset.state = state ? "stopped" : stage;
  show("stage", stage === "live" ? `live, ${percentage} %` : stage);
  show("flag", state ? `${state}; revision ${revision}` : `revision ${revision}`);
  show("latch", latch ? `Rolled back: ${latch.reason}` : "");
}

function showSaved({ savedBySnapshot, savedByPush }) {
  const count = Math.max(0, Math.round(savedBySnapshot + savedByPush));
  const requests = count === 1 ? "1 request" : `${count.toLocaleString("en")} requests`;
  // A single page asks less often than the gateway does.
  show("saved", count === 0
    ? "Here it has saved the orders application no request yet: open this page in some more tabs."
    : `Here it has saved the orders application ${requests}.`);
}

/** The share is the guard's, of the last seconds; what was counted since the start never gets well again. */
function showParity({ outcomes }, { metrics, windowSeconds }) {
  const sum = (names) => names.reduce((total, name) => total + outcomes[name], 0);
  const { value } = metrics.consistency;
  show("consistency", value === null ? "no changes" : `${Math.floor(value * 1000) / 10} %`);
  show("window", `in the last ${windowSeconds} s`);
  show("parity", `since the start ${sum(AGREEMENTS)} changes agreed, ${sum(DIFFERENCES)} times something differed`);
}

function show(name, text) {
  const element = document.querySelector(`[data-migration="${name}"]`);
  if (element.textContent !== text) {
    element.textContent = text;
  }
}
