// What a page does with the client, in TypeScript: all of it has to be accepted, and what is marked has to be refused.

import { createSync, type OutboxError, type Sync, type SyncEvent } from "tidegate";

interface Order {
  orderID: string;
  stage: "billed" | "paid";
  version: number;
}

const sync: Sync = createSync({
  baseUrl: "https://api.shop.example/realtime",
  components: ["orders"],
  entities: ["order", "invoice:I-1"],
  eventTypes: "stage_change",
  filter: ["branch_id=eq.7"],
  state: true,
  getToken: async () => "token",
  autoReconnect: true,
  maxReconnectAttempts: 5,
  reconnectDelay: 1000,
  eventHistoryLimit: 50,
  enablePersistence: true,
  telemetry: false,
  storage: localStorage,
  fetch: (url, options) => fetch(url, options),
  clock: { now: () => performance.now() },
});
createSync();
createSync({ storage: null, getToken: () => undefined });

const off = sync.on("stage_change", (event, id) => {
  const { entityId, data, previous, timestamp, orderID } = event;
  return [entityId, data?.newStage, previous?.stage, timestamp.slice(0, 4), orderID, id.length];
});
off();
sync.on<Order>("order_updated", ({ data }) => data?.stage === "paid");
sync.on("connected", ({ clientId, heartbeatSeconds, recovered }) => [clientId.length, heartbeatSeconds * 1000, recovered]);
sync.on("reset", ({ reason, jitterMs = 0 }) => reason === "trimmed" && jitterMs > 0);
sync.on("state", ({ items, last }) => last && items.map(({ entityId, data }) => [entityId, data.stage]));
sync.on("fetch-mode", ({ mode }) => mode === "polling");
sync.on("outbox", ({ request, status, problem }) => [request.path, status > 400, problem.detail]);
sync.on("*", (data, type, id) => [data.anything, type.length, id?.length]);
sync.subscribe<Order>({ entities: "order", filter: "stage=eq.paid" }, ({ data, action }) => action === "leave" || data?.version);
sync.subscribe((event) => event.eventType);

const orders: ReadonlyMap<string, Order> = sync.entities<Order>("order");
orders.get("O-1")?.stage;
sync.onChange(() => {
  const { state, transport, health, error, metrics, lastEvent, events } = sync.getSnapshot();
  const texts: string[] = [state, transport, health, error?.message ?? "", metrics.transport];
  const numbers: (number | null)[] = [metrics.totalEvents, metrics.uptime, metrics.eventCounts.stage_change ?? 0, metrics.lagMs, events.length];
  return [texts, numbers, lastEvent?.id];
});

const stop: () => void = sync.autoRefresh(["order:O-1", "invoice"], async () => {}, { eventTypes: ["stage_change"], debounceMs: 500 });
sync.autoRefresh(null, () => 1);
stop();

async function write(): Promise<string> {
  const answer = await sync.enqueue<Order>({
    method: "PATCH",
    path: "/api/v1/orders/O-1",
    headers: { "If-Match": '"3"' },
    body: { stage: "paid" },
    entity: "order:O-1",
    optimistic: { stage: "paid" },
    conflict: "version",
    base: { orderID: "O-1", stage: "billed", version: 3 },
    onConflict: (server, mine) => [server.version > 3, mine?.stage],
  });
  const answers = await sync.batch([{ path: "/a" }, { method: "DELETE", url: "https://elsewhere.example/b" }]);
  const response = await sync.optimistic<Order, Response>("order:O-1", (order) => order && { ...order, stage: "paid" }, {
    write: () => fetch("/api/v1/orders/O-1", { method: "PUT" }),
  });
  const { cursor } = await sync.optimistic("order:O-2", null, { write: async () => ({ cursor: "k3f9x2.7-0" }) });
  await sync.enqueue({ path: "/c" }).catch((error: OutboxError) => error.problem?.detail ?? error.message);
  return [answer.cursor, answers.filter(({ ok }) => !ok).length, response.status, cursor].join();
}

async function talk(): Promise<void> {
  const portal = sync.presence<{ name: string }>("portal", { userId: "user-1", meta: { name: "Ada" } });
  portal.onChange(() => Object.entries(portal.users).map(([id, { name }]) => [id, name]));
  await portal.update({ name: "Ada L." });
  const room = sync.channel("portal");
  room.on("typing", (payload, from) => [payload.at, from.length]);
  await room.send("typing", { at: 1 });
  room.leave();
  portal.leave();
}

async function read(): Promise<SyncEvent | null> {
  for await (const event of sync) return event;
  return sync.metrics.lastEvent;
}

Promise.all([write(), talk(), read()]).finally(() => sync.close({ forget: true }));
sync.reconnect();
sync.signOut();

// @ts-expect-error: an option that there is not
createSync({ entity: "order" });
// @ts-expect-error: a token is text
createSync({ getToken: () => 7 });
// @ts-expect-error: what a sync is, is only read
sync.state = "connected";
// @ts-expect-error: not a state
sync.state === "open";
// @ts-expect-error: the entities are only read
sync.entities("order").set("O-1", {});
// @ts-expect-error: the events are only read
sync.events.push();
// @ts-expect-error: no member of a reset
sync.on("reset", ({ entityType }) => entityType);
// @ts-expect-error: no stage of an order
sync.on<Order>("order_updated", ({ data }) => data?.stage === "sent");
// @ts-expect-error: debounceMs is a number
sync.autoRefresh("order", () => {}, { debounceMs: "500" });
// @ts-expect-error: nothing to call
sync.autoRefresh("order");
// @ts-expect-error: no write
sync.optimistic("order:O-1", { stage: "paid" }, {});
// @ts-expect-error: no stage of an order
sync.optimistic<Order>("order:O-1", { stage: "sent" }, { write: async () => null });
// @ts-expect-error: no member of an order
sync.enqueue<Order>({ path: "/a", conflict: "modifiedAt" });
// @ts-expect-error: a GET writes nothing
sync.enqueue({ method: "GET", path: "/a" });
// @ts-expect-error: a Blob can't be kept
sync.enqueue({ path: "/a", body: new Blob() });
// @ts-expect-error: a list
sync.batch({ path: "/a" });
// @ts-expect-error: a payload is an object
sync.channel("portal").send("typing", 7);
