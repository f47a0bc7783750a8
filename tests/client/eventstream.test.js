// The HTML standard, section 9.2.6: each vector whole, byte by byte, and split in two everywhere.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createParser } from "../../gateway/static/parts/eventstream.js";

const bytesOf = (text) => new TextEncoder().encode(text);

function parse(chunks) {
  const frames = [];
  const retries = [];
  let last = "";
  const parser = createParser({
    onFrame({ event, data, id = last }) {
      last = id;
      frames.push([event, data, id]);
    },
    onRetry: (ms) => retries.push(ms),
  });
  chunks.forEach((chunk) => parser.feed(chunk));
  return { frames, retries };
}

// Name, what comes (its line ends are LF), and the frames [type, data, last event id] that come of it.
const VECTORS = [
  ["an event with all its fields", "event: order\nid: 7\ndata: paid\n\n", [["order", "paid", "7"]]],
  ["no event type is a message", "data: a\n\n", [["message", "a", ""]]],
  ["several lines of data", "data: a\ndata: b\ndata\n\n", [["message", "a\nb\n", ""]]],
  ["one space after the colon is none", "data:a\ndata: b\ndata:  c\n\n", [["message", "a\nb\n c", ""]]],
  ["data without a value", "data\n\n", [["message", "", ""]]],
  ["data twice without a value", "data\ndata\n\n", [["message", "\n", ""]]],
  ["nothing without data", "event: x\n\nid: 3\n\n", []],
  ["a type is forgotten where there was no data", "event: x\n\ndata: a\n\n", [["message", "a", ""]]],
  ["an id stays where there was no data", "id: 3\n\ndata: a\n\n", [["message", "a", "3"]]],
  ["an id stays until there is another", "id: 3\ndata: a\n\ndata: b\n\n", [["message", "a", "3"], ["message", "b", "3"]]],
  ["an empty id is none", "id: 3\ndata: a\n\nid\ndata: b\n\n", [["message", "a", "3"], ["message", "b", ""]]],
  ["an id with NUL is ignored", "id: 3\ndata: a\n\nid: 4\0\ndata: b\n\n", [["message", "a", "3"], ["message", "b", "3"]]],
  ["comments are ignored", ": hello\n:\ndata: a\n: within\ndata: b\n\n", [["message", "a\nb", ""]]],
  ["unknown fields are ignored", "datum: x\n data: y\nconstructor: z\n__proto__: z\ndata: a\n\n", [["message", "a", ""]]],
  ["names of fields are compared as they are", "Data: x\nDATA: y\ndata : z\ndata: a\n\n", [["message", "a", ""]]],
  ["colons in a value", "data: a: b:c\n\n", [["message", "a: b:c", ""]]],
  ["what has not ended is no frame", "data: a\n\ndata: b\n", [["message", "a", ""]]],
  ["a line that has not ended is none", "data: a\n\ndata: b\n\ndat", [["message", "a", ""], ["message", "b", ""]]],
  ["empty blocks are nothing", "\n\n\ndata: a\n\n\n\n", [["message", "a", ""]]],
  ["characters of one to four bytes", "data: aé€😀\nevent: ü\n\n", [["ü", "aé€😀", ""]]],
  ["one leading BOM is dropped", "\uFEFFdata: a\n\n", [["message", "a", ""]]],
  ["of two BOMs the second is part of the line", "\uFEFF\uFEFFdata: x\ndata: a\n\n", [["message", "a", ""]]],
  ["a BOM later is part of the text", "data: \uFEFFa\n\n", [["message", "\uFEFFa", ""]]],
  ["other line separators are text", "data: a\u2028b\u0085c\u000bd\n\n", [["message", "a\u2028b\u0085c\u000bd", ""]]],
  ["the last type counts", "event: x\nevent: y\ndata: a\n\n", [["y", "a", ""]]],
  ["an event without data of its own takes nothing along", "data: a\n\nevent: x\ndata\n\n", [["message", "a", ""], ["x", "", ""]]],
];

for (const [ending, newline] of [["LF", "\n"], ["CR", "\r"], ["CRLF", "\r\n"]]) {
  for (const [name, text, frames] of VECTORS) {
    test(`${name} (${ending})`, () => {
      const bytes = bytesOf(text.replaceAll("\n", newline));
      assert.deepEqual(parse([bytes]).frames, frames, "whole");
      assert.deepEqual(parse([...bytes].map((byte) => Uint8Array.of(byte))).frames, frames, "byte by byte");
      for (let at = 0; at <= bytes.length; at += 1) {
        assert.deepEqual(parse([bytes.slice(0, at), bytes.slice(at)]).frames, frames, `split at ${at}`);
      }
    });
  }
}

test("line ends of all kinds in one stream", () => {
  const { frames } = parse([bytesOf("data: a\rdata: b\r\ndata: c\n\r\ndata: d\n\r")]);
  assert.deepEqual(frames, [["message", "a\nb\nc", ""], ["message", "d", ""]]);
});

test("retry takes digits alone", () => {
  const text = ["2000", "0", " 5", "-1", "1.5", "1e3", "", "3s", "٣"].map((value) => `retry:${value}\n`).join("");
  assert.deepEqual(parse([bytesOf(text)]).retries, [2000, 0, 5]);
});

test("bytes that are no UTF-8 become replacement characters", () => {
  const bytes = Uint8Array.from([...bytesOf("data: a"), 0xff, 0xc3, ...bytesOf("\n\n")]);
  assert.deepEqual(parse([bytes]).frames, [["message", "a\uFFFD\uFFFD", ""]]);
  assert.deepEqual(parse([...bytes].map((byte) => Uint8Array.of(byte))).frames, [["message", "a\uFFFD\uFFFD", ""]]);
});

test("a frame has an id of its own where its block, or one without data before it, named one", () => {
  const ids = [];
  const parser = createParser({ onFrame: ({ id }) => ids.push(id), onRetry: () => {} });
  parser.feed(bytesOf("id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\n\nid\ndata: d\n\n"));
  assert.deepEqual(ids, ["1", undefined, "2", ""]);
});

test("a huge line is looked at once, in however many chunks it comes", () => {
  const { split } = String.prototype;
  let scanned = 0;
  String.prototype.split = function (...how) {
    scanned += this.length;
    return split.apply(this, how);
  };
  try {
    const lengths = [];
    const parser = createParser({ onFrame: ({ data }) => lengths.push(data.length), onRetry: () => {} });
    const chunk = new Uint8Array(256).fill(97);
    parser.feed(bytesOf("data: "));
    for (let at = 0; at < 20_000; at += 1) {
      parser.feed(chunk);
    }
    parser.feed(bytesOf("\n\n"));
    assert.deepEqual(lengths, [20_000 * 256]);
  } finally {
    String.prototype.split = split;
  }
  assert.equal(scanned, 20_000 * 256 + "data: \n\n".length);
});
