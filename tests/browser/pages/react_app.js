// A small application with the hooks and components, in StrictMode; what its hooks gave is there for the test to read.

import { createHooks } from "/static/react.js";
import { createRoot, React } from "./react.js";
import { clockOf } from "./clocks.js";

const { createElement: h, StrictMode, useState } = React;
const hooks = createHooks(React);
const { ConnectionStatus, MultiSubscriptionStatus, RealtimeNotification, SyncManagerProvider } = hooks;
const { useEntitySync, useEventTypeSync, useStageChange, useSyncManager, usePresence, useBroadcast } = hooks;
const VARIANTS = ["default", "compact", "badge"];
const TYPES = ["job", "invoice", "message", "loyalty", "info"];

/** Shows the application in `element`; `got` has each event once for each call of a handler. */
export function mount(element, { speed = 1, user = "user-1", ...options }) {
  const app = { got: [], stages: [], heard: [], sync: null, hide: null };
  const initialConfig = { ...options, clock: clockOf(speed) };

  const Page = () => {
    app.sync = useSyncManager().sync;
    useEventTypeSync("stage_change", (event) => app.got.push({ type: "stage_change", n: event.data.n }));
    useStageChange("order:A", (event, previous, next) => app.stages.push([previous, next]), { member: "n" });
    const { entities, entity, events } = useEntitySync("order:A");
    const { onlineUsers } = usePresence("portal", user, { name: user });
    const { send } = useBroadcast("portal", { typing: (payload, from) => app.heard.push([from, payload.in]) });
    app.send = send;
    return h(
      "section",
      null,
      VARIANTS.map((variant) => h("p", { key: variant }, h(ConnectionStatus, { variant }))),
      h(MultiSubscriptionStatus, {
        subscriptions: [
          { name: "Orders", isConnected: true },
          { name: "Invoices", isConnected: false },
        ],
      }),
      h("p", { id: "entity" }, `A is at ${entity?.n}, one of ${entities.size}; ${events.length} events`),
      h("p", { id: "online" }, Object.keys(onlineUsers).sort().join(" ")),
    );
  };

  const Notices = () => {
    const [left, setLeft] = useState(TYPES);
    return left.map((type) =>
      h("p", { key: type }, h(RealtimeNotification, {
        ...{ type, title: `New ${type}`, message: "Carpet cleaning on March 15" },
        onDismiss: () => setLeft(left.filter((other) => other !== type)),
        action: { label: "View Details", onClick: () => app.heard.push(["clicked", type]) },
      })),
    );
  };

  const root = createRoot(element);
  app.show = () => root.render(h(StrictMode, null, h(SyncManagerProvider, { initialConfig }, h(Page)), h(Notices)));
  app.hide = () => root.render(null);
  app.show();
  return app;
}
