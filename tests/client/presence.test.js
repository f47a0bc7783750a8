import assert from "node:assert/strict";
import { test } from "node:test";
import { createWorld } from "./support/synced.js";

const people = (gateway, type, users, channel = "portal") => gateway.stream.control("presence", { channel, type, users });
const writes = (gateway) =>
  gateway.requests
    .filter(({ path }) => /^(presence|broadcast)/.test(path))
    .map(({ path, params, options: { method, body } }) => [method, path, params.get("clientId"), JSON.parse(body)]);

async function inPortal(given) {
  const world = createWorld();
  world.gateway.answerAlways("presence/portal", 204);
  world.gateway.answerAlways("broadcast/portal", 202);
  const sync = await world.opened({ entities: ["order"], ...given });
  const room = sync.presence("portal", { userId: "user-1", meta: { name: "Ann" } });
  await world.settle();
  return { ...world, sync, room };
}

test("a channel opens one new stream with it, at the same cursor, and says who one is", async () => {
  const { sync, gateway, room } = await inPortal();
  const [, { params }, ...more] = gateway.asked("events");
  assert.deepEqual(more, []);
  assert.deepEqual([params.get("presence"), params.get("clientId"), params.get("lastEventId")], ["portal", "user-1", "e1.0-0"]);
  assert.deepEqual(writes(gateway), [["PUT", "presence/portal", "user-1", { meta: { name: "Ann" } }]]);
  assert.equal(sync.clientId, "user-1");
  assert.equal(room.isConnected, true);
  sync.close();
});

test("one that is named at once is part of the first stream", async () => {
  const { open, gateway, settle } = createWorld();
  const sync = open();
  sync.presence("portal");
  sync.channel("chat");
  sync.channel("chat");
  await settle();
  assert.equal(gateway.asked("events").length, 1);
  assert.deepEqual(gateway.requests[0].params.getAll("presence"), ["portal"]);
  assert.deepEqual(gateway.requests[0].params.getAll("channel"), ["chat"]);
  assert.deepEqual(writes(gateway), [], "there is no meta to set");
  sync.close();
});

test("with tokens nobody names himself", async () => {
  const { sync, gateway } = await inPortal({ getToken: () => "opaque", clientId: "mine" });
  assert.equal(gateway.asked("events").at(-1).params.get("clientId"), "mine");
  assert.equal(gateway.asked("presence/portal")[0].headers.Authorization, "Bearer opaque");
  assert.equal(gateway.asked("presence/portal")[0].headers["Content-Type"], "application/json");
  sync.close();
});

test("users are those of the last sync, with whoever joined, left and changed since", async () => {
  const { sync, gateway, room, settle } = await inPortal();
  let told = 0;
  const off = room.onChange(() => (told += 1));
  const nobody = room.users;
  assert.deepEqual(nobody, {});
  assert.equal(room.users, nobody);
  people(gateway, "sync", { "user-1": { meta: { name: "Ann" } }, "user-2": { meta: {} } });
  people(gateway, "join", { "user-3": { meta: {} } });
  people(gateway, "leave", { "user-2": { meta: {} } });
  people(gateway, "update", { "user-3": { meta: { name: "Cy" } } });
  people(gateway, "join", { other: { meta: {} } }, "elsewhere");
  await settle();
  assert.deepEqual(room.users, { "user-1": { name: "Ann" }, "user-3": { name: "Cy" } });
  assert.equal(room.users, room.users);
  assert.equal(told, 4);
  people(gateway, "sync", { "user-4": { meta: {} } });
  await settle();
  assert.deepEqual(Object.keys(room.users), ["user-4"]);
  off();
  people(gateway, "sync", {});
  await settle();
  assert.equal(told, 5);
  sync.close();
});

test("what one says of oneself is said again on each new stream, the newest of it", async () => {
  const { sync, gateway, room, clock } = await inPortal();
  await room.update({ name: "Ann", typing: true });
  gateway.stream.cut();
  await clock.advance(1000);
  assert.deepEqual(writes(gateway).slice(1), [
    ["PUT", "presence/portal", "user-1", { meta: { name: "Ann", typing: true } }],
    ["PUT", "presence/portal", "user-1", { meta: { name: "Ann", typing: true } }],
  ]);
  sync.close();
});

test("an update that is refused is told to who made it, with the gateway's reason", async () => {
  const { sync, gateway, room } = await inPortal();
  gateway.answer("presence/portal", 413, { detail: "The meta is larger than 1,024 bytes." });
  await assert.rejects(room.update({ name: "x".repeat(2000) }), (error) => error.status === 413 && /1,024 bytes/.test(error.message));
  sync.close();
});

test("the last user of a channel leaves it, and leaving twice is leaving once", async () => {
  const { sync, gateway, room, settle } = await inPortal();
  const second = sync.presence("portal");
  people(gateway, "sync", { "user-1": { meta: {} } });
  await settle();
  assert.equal(second.users, room.users);
  const streams = gateway.asked("events").length;
  room.leave();
  room.leave();
  await settle();
  assert.equal(gateway.asked("events").length, streams, "somebody is still in it");
  second.leave();
  await settle();
  assert.equal(gateway.asked("events").at(-1).params.get("presence"), null);
  assert.deepEqual(second.users, {});
  assert.equal(writes(gateway).length, 1, "nothing is said of oneself any more");
  sync.close();
});

test("who leaves and comes back in one task stays, and sees who is there", async () => {
  const { sync, gateway, room, settle } = await inPortal();
  people(gateway, "sync", { "user-1": { meta: {} } });
  await settle();
  const streams = gateway.asked("events").length;
  room.leave();
  const again = sync.presence("portal", { meta: {} });
  await settle();
  assert.equal(gateway.asked("events").length, streams);
  assert.deepEqual(again.users, { "user-1": {} });
  sync.close();
});

test("a broadcast is sent to the channel and heard from it, until one leaves", async () => {
  const { sync, gateway, settle } = await inPortal();
  const portal = sync.channel("portal");
  await settle();
  const heard = [];
  portal.on("typing", (payload, from) => heard.push([payload, from]));
  assert.equal(gateway.asked("events").at(-1).params.get("channel"), "portal");
  await portal.send("typing", { on: true });
  await portal.send("ping");
  assert.deepEqual(writes(gateway).slice(-2), [
    ["POST", "broadcast/portal", "user-1", { event: "typing", payload: { on: true } }],
    ["POST", "broadcast/portal", "user-1", { event: "ping", payload: {} }],
  ]);
  const say = (channel, event) => gateway.stream.control("broadcast", { channel, event, payload: { on: true }, from: "user-2" });
  say("portal", "typing");
  say("portal", "other");
  say("elsewhere", "typing");
  await settle();
  assert.deepEqual(heard, [[{ on: true }, "user-2"]]);
  portal.leave();
  say("portal", "typing");
  await settle();
  assert.equal(heard.length, 1);
  gateway.answer("broadcast/portal", 403, { detail: "The channel portal is not granted." });
  await assert.rejects(portal.send("typing"), /not granted/);
  sync.close();
});

test("a name that is none is refused at once", async () => {
  const { open } = createWorld();
  const sync = open();
  assert.throws(() => sync.presence("a/b"), TypeError);
  assert.throws(() => sync.channel(""), TypeError);
  sync.close();
});

test("a meta that comes once the channel is joined is told at once", async () => {
  const world = createWorld();
  world.gateway.answerAlways("presence/portal", 204);
  const sync = await world.opened({ entities: ["order"], presence: ["portal"] });
  people(world.gateway, "sync", {});
  await world.settle();
  sync.presence("portal", { meta: { name: "Ann" } });
  await world.settle();
  assert.deepEqual(writes(world.gateway).map(([, , , body]) => body), [{ meta: { name: "Ann" } }]);
  assert.equal(world.gateway.asked("events").length, 1);
  sync.close();
});

test("who is named after the stream was opened has one under that name, at the same cursor", async () => {
  const { gateway, sync, settle } = await inPortal();
  sync.presence("portal", { userId: "user-2" });
  await settle();
  const { params } = gateway.asked("events").at(-1);
  assert.deepEqual([params.get("clientId"), params.get("lastEventId")], ["user-2", "e1.0-0"]);
  assert.equal(gateway.asked("events").length, 3);
  sync.close();
});
