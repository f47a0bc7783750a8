// What the gateway is told of its streams (docs/protocol.md, section 8): one report for each component.

const FALLBACKS = ["short", "mute", "error", "blocked"];

// `send(body)` posts one report. Nobody waits for it, and nothing comes of its failure.
export const createTelemetry = (settings, send) => {
  let acknowledged = null;
  let wasPolling = false;
  const tell = (clientId, what) =>
    settings.components.forEach((component) =>
      send({ clientId, attempt: settings.attempt, component, mode: "streaming", clientVersion: settings.clientVersion, ...what }).catch(() => {}),
    );

  return (status) => {
    const { clientId, firstEventMs, transport, reason } = status;
    if (transport !== "shared" && firstEventMs != null && clientId !== acknowledged) {
      acknowledged = clientId;
      tell(clientId, { firstEventMs });
    }
    const isPolling = transport === "poll";
    if (isPolling && !wasPolling && FALLBACKS.includes(reason)) tell(clientId ?? settings.clientId, { fallback: reason });
    wasPolling = isPolling;
  };
};
