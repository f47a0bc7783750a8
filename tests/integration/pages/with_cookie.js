// Streams and publishes as its user, whose token is in a cookie that no script can read, and reports what came.
const gateway = new URLSearchParams(location.search).get("gateway");
const events = `${gateway}/api/v1/sync/events`;
const told = { cookie: document.cookie, seen: [], scope: null };

const source = new EventSource(`${events}?entity=order`, { withCredentials: true });
let published;
source.addEventListener("connected", (message) => {
  told.scope = message.lastEventId.split(".")[2];
  published = publish();
});
source.addEventListener("changed", (message) => told.seen.push(JSON.parse(message.data).data));
source.addEventListener("bye", async (message) => {
  told.bye = JSON.parse(message.data);
  source.close();
  // The stream may end before the answer to what was published is here.
  await published;
  await fetch("/report", { method: "POST", body: JSON.stringify(told) });
});

async function publish() {
  told.withoutCookie = (await fetch(`${gateway}/api/v1/sync/poll`, { credentials: "omit" })).status;
  const own = { eventType: "changed", entityType: "order", entityId: "1", data: { owner: "ann", price: 3 } };
  const others = { ...own, entityId: "2", data: { owner: "bob" } };
  const answer = await fetch(events, {
    method: "POST",
    credentials: "include",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify([others, own]),
  });
  told.published = answer.status;
}
