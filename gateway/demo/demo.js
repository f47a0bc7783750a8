// The same orders twice: polled by all means on the left, as the migration has it on the right.

import { showFault } from "/demo/controls.js";
import { CLIENT_ID, NAMED, ORDERS, Poller, getJson, sendJson, sleep } from "/demo/gateway.js";
import { Migration } from "/demo/migration.js";
import { Panel } from "/demo/panel.js";
import { push } from "/demo/pushed.js";
import { joinRoom } from "/demo/room.js";

const PREFERENCE = `/api/v1/sync/preference?clientId=${encodeURIComponent(CLIENT_ID)}`;
const COUNT_EVERY_MS = 5000;
const NEXT_STAGE = { empty: "initiated", initiated: "open", open: "billed", billed: "paid" };

/** How often the gateway itself has asked the orders application, and what that publishes. */
async function showApplication() {
  const footer = document.getElementById("upstream");
  for (;;) {
    try {
      const [{ requests }, { fault }] = await Promise.all([getJson("/demo/stats"), getJson("/demo/fault")]);
      showFault(fault);
      const asked = (requests.list ?? 0).toLocaleString("en");
      document.getElementById("fault").hidden = fault === "none";
      footer.textContent =
        `The orders application has been asked for its list ${asked} times, by the gateway alone: ` +
        "about once a second, however many pages like this one are open.";
    } catch (error) {
      footer.textContent = `The orders application's own count is not to be had (${error.message}).`;
    }
    await sleep(COUNT_EVERY_MS);
  }
}

function note(text) {
  document.getElementById("note").textContent = text;
}

async function send(method, path, body) {
  try {
    return await sendJson(method, path, body);
  } catch (error) {
    note(error.message);
    return null;
  }
}

/** What this browser chooses for itself; how much that counts depends on the stage. */
async function choose(delivery) {
  if (await send("PUT", PREFERENCE, { delivery })) {
    note(`This browser's choice is ${delivery}.`);
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

async function main() {
  const poller = new Poller(new Panel("polled"));
  const pushed = new Panel("pushed");
  const delivery = document.getElementById("delivery");
  delivery.addEventListener("change", () => choose(delivery.value));
  document.getElementById("create").addEventListener("click", createOrder);
  document.getElementById("advance").addEventListener("click", () => advanceOrder(pushed));
  setInterval(() => {
    poller.tick();
    pushed.tick();
  }, 250);
  poller.run();
  push(pushed);
  const room = document.getElementById("room");
  // A browser opens six connections to a host: of several clients in it none has one to spare for the room.
  room.hidden = Boolean(NAMED);
  if (!NAMED) {
    joinRoom(room);
  }
  new Migration(() => [poller.panel, pushed].forEach((panel) => panel.countAnew())).run();
  showApplication();
  delivery.value = (await getJson(PREFERENCE)).delivery;
}

main();
