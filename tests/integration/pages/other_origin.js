// Uses a gateway of another origin as an application would, and reports what it could do to its own server.
const parameters = new URLSearchParams(location.search);
const gateway = parameters.get("gateway");
const legacyPath = parameters.get("path");
const EVENTS = "/api/v1/sync/events";
const POLL = "/api/v1/sync/poll";
const FIELDS = ["etag", "sync-cursor", "link", "fetch-mode", "cache-status", "age", "allow"];

async function ask(path, options = {}) {
  try {
    const response = await fetch(gateway + path, { credentials: "include", ...options });
    const fields = FIELDS.filter((name) => response.headers.has(name));
    return { status: response.status, fields, etag: response.headers.get("etag"), body: await response.text() };
  } catch (error) {
    return { failed: error.name };
  }
}

function publish(number) {
  const event = { eventType: "stage_change", entityType: "order", entityId: "A", data: { n: number } };
  const headers = { "Content-Type": "application/json", "Idempotency-Key": `page-${number}` };
  return ask(EVENTS, { method: "POST", headers, body: JSON.stringify(event) });
}

// Gives the numbers that came, and whether the stream was opened at all.
function stream(count) {
  return new Promise((resolve) => {
    const seen = [];
    const source = new EventSource(`${gateway}${EVENTS}?entity=order`, { withCredentials: true });
    const end = (opened) => {
      source.close();
      resolve({ opened, seen });
    };
    source.addEventListener("connected", async () => {
      for (let number = 0; number < count; number += 1) {
        await publish(number);
      }
    });
    source.addEventListener("stage_change", (event) => {
      seen.push(JSON.parse(event.data).data.n);
      if (seen.length === count) {
        end(true);
      }
    });
    source.addEventListener("error", () => end(false));
  });
}

const report = { stream: await stream(3), polled: await ask(POLL) };
report.unchanged = await ask(POLL, { headers: { "If-None-Match": report.polled.etag ?? '"none"' } });
report.legacy = await ask(legacyPath);
report.written = await ask(`${legacyPath}/A`, { method: "PUT", headers: { "X-Requested-With": "page" }, body: "{}" });
report.absent = await ask("/nowhere");
report.refused = await ask(POLL, { method: "POST" });
report.tooLong = await ask(POLL, { headers: { Authorization: "x".repeat(40000) } });
await fetch("report", { method: "POST", body: JSON.stringify(report) });
