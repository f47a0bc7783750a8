// The right side of the page: the orders as the gateway's client has them, over whichever transport that uses.

import { CLIENT_ID, CLIENT_VERSION, COMPONENT } from "/demo/gateway.js";
import { createSync } from "/static/tidegate.js";

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
    return ["waiting", `polling, ${reason === "fetch-mode" ? "as the gateway asks" : "since push fails here"}${over}`];
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
  const show = () => {
    const orders = sync.entities("order");
    panel.status(...sentence(sync.status));
    panel.orders().forEach(({ orderID }) => orders.has(orderID) || panel.remove(orderID));
    orders.forEach((data, orderID) => panel.put({ ...data, orderID }));
    panel.loaded ||= sync.complete;
  };

  sync.onChange(show);
  show();
  return sync;
}
