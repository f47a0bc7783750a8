// The right side of the page: the orders as the gateway's client has them, over whichever transport that uses.

import { CLIENT_ID, CLIENT_VERSION, COMPONENT, Poller } from "/demo/gateway.js";
import { createSync } from "/static/tidegate.js";

const POLL_EVERY_MS = 2000;
const ASKED = "fetch-mode";
const ELSEWHERE = {
  initialized: ["waiting", "starting"],
  connecting: ["waiting", "connecting"],
  unavailable: ["bad", "out of reach; it tries again"],
  paused: ["waiting", "paused"],
  disconnected: ["bad", "disconnected"],
  failed: ["bad", "failed"],
};

/** How the client gets the orders now, as the panel's [state, text]. */
const sentence = ({ state, transport, reason }) => {
  if (state !== "connected") {
    return ELSEWHERE[state];
  }
  const over = transport === "shared" ? ", over the connection of another tab" : "";
  // It says why it polls.
  if (reason) {
    return ["waiting", `polling, ${reason === ASKED ? "as the gateway asks" : "since push fails here"}${over}`];
  }
  return ["good", `streaming${over}`];
};

/** Shows in the panel what the client has, and gives the client. */
export function push(panel) {
  const counted = (address, init) => {
    panel.figures.requests += init?.method === "POST" ? 0 : 1;
    return fetch(address, init);
  };
  const options = { components: [COMPONENT], state: true, clientId: CLIENT_ID, clientVersion: CLIENT_VERSION };
  const sync = createSync({ ...options, fetch: counted });
  const list = new Poller(panel, POLL_EVERY_MS);
  let isAsked = false;

  const showPushed = () => {
    const orders = sync.entities("order");
    panel.orders().forEach(({ orderID }) => orders.has(orderID) || panel.remove(orderID));
    orders.forEach((data, orderID) => panel.put({ ...data, orderID }));
    panel.loaded ||= sync.complete;
  };
  const show = () => {
    panel.status(...sentence(sync.status));
    // Then nothing vouches for what is pushed, not yet or not any more; the client's own polls give the same.
    const wasAsked = isAsked;
    isAsked = sync.state === "connected" ? sync.status.reason === ASKED : isAsked;
    if (isAsked !== wasAsked) {
      isAsked ? list.run() : list.stop();
    }
    isAsked || showPushed();
  };

  sync.onChange(show);
  show();
  return sync;
}
