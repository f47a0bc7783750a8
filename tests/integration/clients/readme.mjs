// Runs a page's script as a page of `origin` would, and prints what it shows as lines of JSON.
import { readFileSync } from "node:fs";
import { EventSource as Source } from "eventsource";

const [origin, script] = process.argv.slice(2);

function print(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

globalThis.EventSource = class extends Source {
  constructor(path) {
    super(new URL(path, origin));
  }
};
globalThis.showAll = (orders) => print({ all: orders.length });
globalThis.show = ({ data }) => print({ n: data.n });
new Function(readFileSync(script, "utf8"))();
