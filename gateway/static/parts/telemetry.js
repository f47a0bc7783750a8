// What the gateway is told of its streams (docs/protocol.md, section 8): one report for each component.

const FALLBACKS = ["short", "mute", "error", "blocked"];

// `send(body)` posts one report. Nobody waits for it, and nothing comes of its failure.
export const createTelemetry = (settings, send) => {
  let seen = {};
  const tell = (clientId, what) =>
    settings.components.forEach((component) =>
      send({ clientId, component, mode: "streaming", clientVersion: settings.clientVersion, ...what }).catch(() => {}),
    );

  return (status) => {
    const { clientId, firstEventMs, transport, reason } = status;
    if (transport === "sse" && firstEventMs != null && clientId !== seen.clientId) tell(clientId, { firstEventMs });
    if (transport === "poll" && seen.transport !== "poll" && FALLBACKS.includes(reason)) tell(clientId ?? settings.clientId, { fallback: reason });
    seen = status;
  };
};
