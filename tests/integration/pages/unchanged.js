// Opens a stream, polls while that fails, and knows nothing of flags, cookies or cursors.
const told = { seen: [], polls: [], opened: 0, failed: 0 };
let timer = null;

const source = new EventSource("/api/v1/sync/events?orderID=A&eventTypes=stage_change,payment_update");
for (const type of ["stage_change", "payment_update"]) {
  source.addEventListener(type, (message) => told.seen.push(JSON.parse(message.data).data.n));
}
source.onopen = () => {
  told.opened += 1;
  clearInterval(timer);
  timer = null;
};
source.onerror = () => {
  told.failed += 1;
  timer ??= setInterval(poll, 500);
};

async function poll() {
  const answer = await fetch("/api/v1/orders");
  told.polls.push(answer.headers.get("Fetch-Mode"));
}
