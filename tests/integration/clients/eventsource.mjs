// An npm eventsource client: prints each event as a line of JSON, and ends after the number that it was told.
import { EventSource } from "eventsource";

const [url, wanted] = process.argv.slice(2);
const source = new EventSource(url);
let count = 0;

function print(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

source.addEventListener("connected", (event) => print({ connected: JSON.parse(event.data) }));
source.addEventListener("error", () => print({ error: source.readyState }));
source.addEventListener("stage_change", (event) => {
  print({ id: event.lastEventId, n: JSON.parse(event.data).data.n });
  count += 1;
  if (count === Number(wanted)) {
    source.close();
  }
});
