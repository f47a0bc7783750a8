// What a React application does with the hooks, in TypeScript: all of it has to be accepted, and what is marked has to be refused.

import * as React from "react";
import { createSync } from "tidegate";
import { ConnectionState, createHooks, type RealtimeState } from "tidegate/react";

interface Booking {
  id: string;
  branch_id: number;
  status: "new" | "paid";
}

const hooks = createHooks(React);
const { SyncManagerProvider, ConnectionStatus, MultiSubscriptionStatus, RealtimeNotification } = hooks;

const useRealtimeBookings = hooks.makeEntityHook("booking", {
  by: "branch_id",
  callbacks: { onNew: "insert", onUpdated: "update", onPaid: { on: "update", when: (row, old) => row.status !== old.status } },
  derive: { open: (rows: Booking[]) => rows.filter(({ status }) => status === "new").length },
});
const useInvoiceUpdates = hooks.makeEntityHook("invoice", { by: "customer_id" });
const usePlain = hooks.makeEntityHook<Booking>("booking");
const useAllUpdates = hooks.makeAllUpdatesHook({
  job: { by: "customer_id", callbacks: { onJobInsert: "insert" } },
  Points: { entity: "loyalty", derive: { totalPoints: (rows) => rows.length } },
});

function Page({ branchId }: { branchId: string }) {
  const { events, subscribe, connectionState, error, metrics, sync, reconnect } = hooks.useSyncManager();
  React.useEffect(() => subscribe((event) => event.eventType === "stage_change"), [subscribe]);
  React.useEffect(() => subscribe({ entities: "order" }, ({ data }) => data?.stage), [subscribe]);
  const health = hooks.useConnectionHealth();
  const { entity, entities, latestEvent } = hooks.useEntitySync<Booking>("booking:B-1", { eventTypes: ["stage_change"], limit: 10 });
  hooks.useStageChange("order:O-1", (event, previous, next) => [event.entityId, previous, next], { member: "stage" });
  hooks.useAutoRefresh(["order:O-1"], async () => {}, { eventTypes: ["stage_change"], debounceMs: 500 });
  hooks.useDashboardSync(() => {}, { maxWaitMs: 1000 });
  hooks.useEventTypeSync("payment_update", (event) => event.data, { entity: "order" });
  hooks.usePollingFallback(async () => {}, { intervalMs: 1000 });
  const { onlineUsers } = hooks.usePresence("portal", "user-1", { name: "Ann" });
  const { send } = hooks.useBroadcast("portal", { typing: (payload, from) => [payload.in, from.length] });
  const { update, isPending } = hooks.useOptimisticUpdates<Booking>("booking");
  const live: RealtimeState<Booking> = hooks.useRealtime<Booking>({
    table: "booking",
    filter: `branch_id=eq.${branchId}`,
    onUpdate: (row, old) => row.status !== old.status,
  });
  const bookings = useRealtimeBookings(branchId, { onNew: (row, event) => [row.id, event.id], onPaid: (row, old) => [row.id, old.id] });
  const open: number = bookings.open;
  const invoices = useInvoiceUpdates(7, { onDelete: (old) => old.id });
  usePlain(undefined, { onUpdate: (row, old) => row.branch_id === old.branch_id });
  const all = useAllUpdates("c-1", { onJobInsert: (job) => job.id });

  // @ts-expect-error There is no such callback.
  useRealtimeBookings(branchId, { onInsert: () => {} });
  // @ts-expect-error What happened is data of events, and comes after the table's name.
  hooks.useRealtime({ onInsert: () => {} });
  // @ts-expect-error An action of its own has nobody.
  hooks.makeEntityHook("booking", { callbacks: { onNew: "created" } });
  // @ts-expect-error The stages are of one entity.
  hooks.useStageChange((event) => event);

  if (connectionState === ConnectionState.ERROR) return <p>{error?.message}</p>;
  return (
    <main>
      <ConnectionStatus variant="badge" labels={{ healthy: "Live" }} />
      <ConnectionStatus isConnected={live.isConnected} showLabel={false} />
      {/* @ts-expect-error There is no such variant. */}
      <ConnectionStatus variant="large" />
      <MultiSubscriptionStatus subscriptions={all.subscriptions} />
      <RealtimeNotification type="job" title="New" onDismiss={() => {}} action={{ label: "View", onClick: () => {} }} />
      <button disabled={isPending} onClick={() => update("booking:B-1", { status: "paid" }, () => fetch("/bookings/B-1"))}>
        {entity?.status} {entities.size} {latestEvent?.action} {events.length} {metrics.totalEvents} {sync?.clientId} {open}
        {onlineUsers["user-1"]?.name} {health.status} {invoices.latestUpdate?.entityId} {all.totalPoints}
      </button>
      <button onClick={() => send("typing", { in: "O-1" })}>…</button>
      <button onClick={reconnect}>Retry</button>
    </main>
  );
}

export const app = (
  <SyncManagerProvider initialConfig={{ entities: ["booking"], autoReconnect: true, eventHistoryLimit: 100 }} enablePersistence={false}>
    <Page branchId="7" />
  </SyncManagerProvider>
);
export const given = <SyncManagerProvider sync={createSync()} />;
// @ts-expect-error An option that createSync has not.
export const wrong = <SyncManagerProvider initialConfig={{ retries: 5 }} />;
