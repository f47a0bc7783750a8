import assert from "node:assert/strict";
import { test } from "node:test";

import { createWorld } from "./support/connected.js";

test("a stream hands on what comes, and resumes after its cursor", async () => {
  const world = createWorld();
  world.connection.start();
  await world.clock.advance(0);
  assert.equal(world.status.state, "connected");
  const first = world.gateway.publish();
  await world.clock.advance(0);
  world.gateway.stream.cut();
  const second = world.gateway.publish();
  await world.clock.advance(500);
  assert.deepEqual(world.events, [first.id, second.id]);
  assert.equal(world.gateway.asked("events").at(-1).params.get("lastEventId"), first.id);
  assert.equal(world.status.transport, "sse");
});
