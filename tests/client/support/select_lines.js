// Asks selection.js, one JSON line in and one out: what becomes of an event for a selection.

import { createInterface } from "node:readline";
import { selector } from "../../../gateway/static/parts/selection.js";

const answer = ({ selection, event }) => {
  let select;
  try {
    select = selector(selection);
  } catch (error) {
    if (error instanceof TypeError) return "refused";
    throw error;
  }
  const selected = select(event);
  if (selected === null) return "skip";
  return selected === event ? "deliver" : selected.action;
};

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line)))}\n`);
}
