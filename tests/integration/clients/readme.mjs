// Runs a page's script as a page of `origin` would, and prints what it shows as lines of JSON.
import { readFileSync } from "node:fs";
import { EventSource as Source } from "eventsource";

const [origin, script] = process.argv.slice(2);
const plainFetch = fetch;

function print(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

globalThis.fetch = (path, options) => plainFetch(new URL(path, origin), options);
globalThis.EventSource = class extends Source {
  constructor(path) {
    super(new URL(path, origin));
  }
};
globalThis.showAll = ({ docs }) => print({ all: docs.length });
globalThis.show = ({ data }) => print({ n: data.n });
new Function(readFileSync(script, "utf8"))();
