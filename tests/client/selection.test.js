import assert from "node:assert/strict";
import { test } from "node:test";
import { matcher, selectionParams, selectionText, selector } from "../../gateway/static/parts/selection.js";

const order = (members) => ({ eventType: "stage_change", entityType: "order", entityId: "O-1", action: "update", ...members });

test("an entity is named by one string, with an id that may hold anything", () => {
  for (const [named, event] of [
    ["order", order()],
    ["order:O-1", order()],
    ["order:a:", order({ entityId: "a:" })],
    ["order:a,b", order({ entityId: "a,b" })],
    ['order:"a,b"', order({ entityId: "a,b" })],
    ['order:"', order({ entityId: '"' })],
  ]) {
    assert.ok(matcher({ entities: [named] })(event), named);
  }
  assert.ok(!matcher({ entities: "order:O-2" })(order()));
  assert.ok(!matcher({ entities: "undefined" })({ eventType: "u", action: "signal" }), "an event without an entity");
});

test("who asks for nothing gets everything", () => {
  assert.ok(matcher()(order()));
  assert.ok(matcher({ entities: [], eventTypes: [], filter: [] })(order()));
});

test("a row that moves out of a filter leaves, without what it holds now", () => {
  const select = selector({ filter: "branch_id=eq.7" });
  const moved = order({ data: { branch_id: 8 }, previous: { branch_id: 7 } });
  assert.deepEqual(select(moved), order({ action: "leave" }));
  assert.equal(select(order({ data: { branch_id: 8 }, previous: { branch_id: 9 } })), null);
});

test("a leave of the gateway's passes every filter of the page", () => {
  const left = order({ action: "leave" });
  assert.equal(selector({ filter: "branch_id=eq.7" })(left), left);
});

test("a bad selection is a TypeError that says what to write", () => {
  for (const [selection, hint] of [
    [{ filter: "branch_id" }, /branch_id=eq\.7/],
    [{ filter: "a=zz.7" }, /branch_id=eq/],
    [{ filter: 'a=eq."7' }, /a=eq\."7 has to be/],
    [{ filter: "a=eq.\u0000" }, /filter/],
    [{ entities: ["order:"] }, /order:O-1/],
    [{ entities: ["or der"] }, /order:O-1/],
    [{ eventTypes: ["a b"] }, /A-Z a-z 0-9/],
  ]) {
    assert.throws(() => selector(selection), (error) => error instanceof TypeError && hint.test(error.message));
  }
});

test("the parameters write what the gateway reads", () => {
  const settings = {
    components: ["orders"],
    entities: ["order", "job:a,b", 'job:"x'],
    eventTypes: ["u"],
    filter: ['name=eq."a,b"', "branch_id=in.(7,8)"],
    presence: ["portal", "portal"],
    channels: ["portal"],
    state: true,
    hints: "with",
    debounceMs: 200,
    clientId: "c",
    clientVersion: "1",
  };
  assert.deepEqual([...selectionParams(settings)], [
    ["component", "orders"],
    ["entity", "order"],
    ["entity", 'job:"a,b"'],
    ["entity", 'job:"\\"x"'],
    ["eventTypes", "u"],
    ["filter", 'name=eq."a,b"'],
    ["filter", "branch_id=in.(7,8)"],
    ["presence", "portal"],
    ["channel", "portal"],
    ["state", "with"],
    ["hints", "with"],
    ["debounceMs", "200"],
    ["clientId", "c"],
    ["clientVersion", "1"],
  ]);
  assert.equal(String(selectionParams({})), "");
});

test("two who ask for the same have one text, in whatever order, and whoever they are", () => {
  const one = selectionText({ entities: ["a", "b"], clientId: "1" });
  assert.equal(selectionText({ entities: ["b", "a"], clientId: "2" }), one);
  assert.notEqual(selectionText({ entities: ["a"] }), one);
  assert.equal(selectionText({ entities: ["a", "b"], presence: ["p"] }, { presence: [] }), one);
});
