// Components that say how the connection is, and what came over it. tidegate.css dresses them; without it they are plain text.

// A shape for each, since not everybody sees colours, and the words that a screen reader says.
const HEALTH = {
  healthy: ["●", "Live", "Changes appear as they happen."],
  polling: ["◐", "Polling", "Changes appear within seconds."],
  connecting: ["◌", "Connecting", "Changes will appear in a moment."],
  error: ["▲", "Connection lost", "What is shown may be out of date."],
  disconnected: ["○", "Disconnected", "Changes do not appear by themselves."],
};
const ICONS = { job: "◷", invoice: "¤", message: "✉", loyalty: "★", info: "ℹ" };
const KINDS = { job: "Appointment", invoice: "Invoice", message: "Message", loyalty: "Loyalty", info: "Notice" };

export function createComponents({ createElement: h }, { useConnectionHealth }) {
  const icon = (shape) => h("span", { className: "tidegate-icon", "aria-hidden": true }, shape);
  const hidden = (text) => h("span", { className: "tidegate-hidden" }, text);
  const button = (label, onClick, className) => h("button", { type: "button", className, onClick }, label);

  function ConnectionStatus({ isConnected, ...props }) {
    const told = isConnected ? "healthy" : "disconnected";
    return isConnected === undefined ? h(FollowedStatus, props) : h(Status, { ...props, status: told });
  }

  function FollowedStatus(props) {
    const { status, reconnect } = useConnectionHealth();
    return h(Status, { ...props, status, onRetry: reconnect });
  }

  function Status({ status, onRetry, className, showLabel = true, variant = "default", labels = {}, retryLabel = "Retry" }) {
    const [shape, label, description] = HEALTH[status];
    const said = labels[status] ?? label;
    return h(
      "div",
      { className: classes("tidegate-status", `tidegate-status-${variant}`, className), "data-status": status },
      icon(shape),
      h(
        "span",
        { role: "status", className: "tidegate-text" },
        showLabel ? h("span", { className: "tidegate-label" }, said) : hidden(said),
        variant === "default" && showLabel && h("span", { className: "tidegate-description" }, description),
      ),
      // Outside of what is announced: a screen reader would read it out with each change.
      status === "error" && onRetry && button(retryLabel, onRetry, "tidegate-retry"),
    );
  }

  function MultiSubscriptionStatus({ subscriptions, className, connectedLabel = "connected", disconnectedLabel = "disconnected" }) {
    const connected = subscriptions.filter(({ isConnected }) => isConnected).length;
    return h(
      "div",
      { className: classes("tidegate-subscriptions", className) },
      h("p", { role: "status", className: "tidegate-label" }, `${connected}/${subscriptions.length} ${connectedLabel}`),
      h(
        "ul",
        null,
        subscriptions.map(({ name, isConnected }) => {
          const [shape] = HEALTH[isConnected ? "healthy" : "disconnected"];
          const said = isConnected ? connectedLabel : disconnectedLabel;
          return h("li", { key: name, "data-status": isConnected ? "healthy" : "disconnected" }, icon(shape), `${name}: ${said}`);
        }),
      ),
    );
  }

  function RealtimeNotification({ type = "info", title, message, onDismiss, action, className, dismissLabel = "Dismiss" }) {
    const kind = type in ICONS ? type : "info";
    return h(
      "div",
      { className: classes("tidegate-notification", className), "data-type": kind },
      icon(ICONS[kind]),
      h(
        "div",
        { role: "status", "aria-atomic": true, className: "tidegate-text" },
        hidden(`${KINDS[kind]}: `),
        h("span", { className: "tidegate-label" }, title),
        message && h("span", { className: "tidegate-description" }, message),
      ),
      action && button(action.label, action.onClick, "tidegate-action"),
      onDismiss &&
        h("button", { type: "button", className: "tidegate-dismiss", "aria-label": dismissLabel, onClick: onDismiss }, "×"),
    );
  }

  return { ConnectionStatus, MultiSubscriptionStatus, RealtimeNotification };
}

const classes = (...names) => names.filter(Boolean).join(" ");
