// Moves the migration from the page, as `tidegate flags` and `tidegate demo --fault` do from a terminal.

import { COMPONENT, sendJson } from "/demo/gateway.js";

const FLAG = `/api/v1/admin/flags/${COMPONENT}`;
const REASON = "set on the demo's page";
const FORM = document.getElementById("controls");
const { stage, percentage, fault, rearm } = FORM.elements;

/** What the application publishes now. */
export function showFault(name) {
  if (document.activeElement !== fault) {
    fault.value = name;
  }
}

/** The form below the figures. `changed` is called after each change. */
export class Controls {
  constructor(changed) {
    this.changed = changed;
    this.revision = null;
    FORM.addEventListener("submit", (event) => {
      event.preventDefault();
      this.change(() => this.setFlag());
    });
    fault.addEventListener("change", () => this.change(() => this.setFault()));
    rearm.addEventListener("click", () => this.change(() => this.rearm()));
  }

  /** Shows the flag as it is; what somebody is about to set stays until the flag changes. */
  show(flag) {
    rearm.hidden = !flag.latch;
    if (flag.revision !== this.revision) {
      this.revision = flag.revision;
      stage.value = flag.stage;
      percentage.value = flag.percentage;
    }
  }

  async change(make) {
    try {
      say(await make());
      await this.changed();
    } catch (error) {
      say(error.message);
    }
  }

  async setFlag() {
    const wanted = { stage: stage.value, percentage: Number(percentage.value), reason: REASON };
    const flag = await sendJson("PATCH", FLAG, wanted, { "If-Match": "*" });
    return `orders is at revision ${flag.revision}: ${flag.stage}, ${flag.percentage} %`;
  }

  async setFault() {
    await sendJson("PUT", "/demo/fault", { fault: fault.value });
    return fault.value === "none" ? "The application publishes the truth." : "The application publishes old states.";
  }

  async rearm() {
    const flag = await sendJson("POST", `${FLAG}/rearm`, { reason: REASON });
    return `orders is at revision ${flag.revision}, and armed again`;
  }
}

function say(text) {
  document.querySelector('[data-migration="change"]').textContent = text;
}
