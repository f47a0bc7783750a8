// What a sync has counted since it was made.

export const createMetrics = ({ environment: { clock }, store }) => {
  const { counters } = store;
  let status = {};
  let connectedAt = null;
  let connections = 0;
  let fallbacks = 0;
  let lagMs = null;

  store.applied(({ control, data }) => {
    const told = control ? NaN : Date.parse(data.timestamp);
    if (told) lagMs = Math.max(0, clock.wall() - told);
  });

  return {
    follow(next) {
      if (next.state !== "connected") connectedAt = null;
      else if (status.state !== "connected") {
        connectedAt = clock.now();
        connections += 1;
      }
      if (next.transport === "poll" && status.transport !== "poll") fallbacks += 1;
      status = next;
    },
    read: () => ({
      ...counters,
      eventCounts: Object.fromEntries(counters.eventCounts),
      uptime: connectedAt === null ? 0 : clock.now() - connectedAt,
      totalReconnects: Math.max(0, connections - 1),
      lagMs,
      transport: status.transport,
      fallbacks,
    }),
  };
};
