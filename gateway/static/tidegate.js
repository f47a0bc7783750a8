// The client of a Tidegate gateway. What it takes and gives is in tidegate.d.ts.

export { createSync } from "./parts/create_sync.js";
