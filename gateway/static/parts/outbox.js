// Writes that survive: kept until they are answered, sent in order, one at a time, by one tab.

import { createSender, randomText, read, toKeep } from "./outgoing.js";
import { failure } from "./request.js";
import { report } from "./store.js";

const MOST = 1000;
const MOST_CHARACTERS = 1_000_000;
const STAMP_DIGITS = 15;

/** What was kept; null for what this version never wrote. */
const entryOf = (text) => {
  const entry = read(text);
  return Array.isArray(entry?.requests) && Array.isArray(entry.answers) ? entry : null;
};

const idOf = (name) => name.split("-")[1];
const problemOf = ({ status, body }) => (typeof body === "object" && body) || { type: "about:blank", status };

export function createOutbox({ environment, settings, user, tokens, overlay, emit }) {
  const { clock, storage, locks, openChannel, page } = environment;
  const send = createSender({ environment, settings, tokens });
  // By id, what this tab enqueued, found or sends: {requests, layers, resolve, reject}.
  const held = new Map();
  // The ids of what was enqueued here.
  const own = new Set();
  // By name, as text, what is in no storage. A name is a time, which makes the order, and an id.
  const unkept = new Map();
  let place = null;
  let channel = null;
  // The sending that is under way here, or waits until another tab is done with its own.
  let turn = null;
  let closed = false;

  const keep = (name, text) => {
    if (place && storage.setItem(place + name, text)) unkept.delete(name);
    else unkept.set(name, text);
  };

  const remove = (name) => {
    unkept.delete(name);
    if (place) storage.removeItem(place + name);
  };

  /** [name, text] of all that waits, whichever tab it is of, in the order in which it came. */
  const all = () => {
    const kept = place ? storage.keys().filter((key) => key.startsWith(place)) : [];
    const found = kept.map((key) => [key.slice(place.length), storage.getItem(key)]);
    return [...unkept, ...found].sort(([a], [b]) => (a < b ? -1 : 1));
  };

  /** Shows what the requests change until they are settled. `given`: as the page gave them, with functions. */
  const hold = (id, requests, given = requests, resolve = () => {}, reject = () => {}) => {
    const layers = [];
    try {
      given.forEach((one) => layers.push(one.optimistic !== undefined && overlay.add(one.entity, one.optimistic, one)));
    } catch (error) {
      layers.forEach((layer) => layer && layer.drop());
      throw error;
    }
    held.set(id, { requests, layers, resolve, reject });
  };

  const settle = (id, answers) => {
    const { requests, layers, resolve } = held.get(id);
    held.delete(id);
    own.delete(id);
    layers.forEach((layer, at) => layer && (answers[at].ok ? layer.answered(answers[at].cursor) : layer.drop()));
    answers.forEach((answer, at) => {
      if (!answer.ok) emit("outbox", { request: requests[at], status: answer.status, problem: problemOf(answer) });
    });
    resolve(answers);
  };

  async function deliver([name, text], signal) {
    const id = idOf(name);
    const { requests, answers } = entryOf(text) ?? {};
    if (!requests) return remove(name);
    if (!held.has(id)) hold(id, requests);
    while (answers.length < requests.length) {
      answers.push(await send(requests[answers.length], signal));
      if (answers.length < requests.length) keep(name, JSON.stringify({ requests, answers }));
    }
    remove(name);
    channel?.postMessage({ id, answers });
    settle(id, answers);
  }

  /** Sends all there is, once no other tab does. */
  async function start() {
    if (turn || closed) return;
    const { signal } = (turn = new AbortController());
    const work = async () => {
      for (let [first] = all(); first; [first] = all()) await deliver(first, signal);
    };
    try {
      await (place && locks ? locks.request(place, { signal }, work) : work());
    } catch (error) {
      if (signal.aborted) return;
      // The lock can't be had: the next request asks for it again.
      turn = null;
      report(error);
      return;
    }
    turn = null;
    // What came while the lock was being given back.
    if (all().length) start();
  }

  const halt = () => {
    turn?.abort();
    turn = null;
  };

  const giveUp = (ids, message, end) =>
    ids.forEach((id) => {
      const { layers, reject } = held.get(id);
      held.delete(id);
      layers.forEach((layer) => layer && end(layer));
      reject(failure(message));
    });

  const giveUpAll = (message) => {
    halt();
    giveUp([...held.keys()], message, (layer) => layer.drop());
  };

  const signOut = () => giveUpAll("Signed out before this was sent: it is dropped.");

  /** All that was there at `at`, and what was enqueued here before it was known. The rest is of who signed in since. */
  const drop = (at) => {
    // Stamps run ahead of the time by as many as are made at once. One that is further ahead is of before the clock was put back.
    const most = clock.wall() + MOST;
    all().forEach(([name]) => {
      const stamp = parseInt(name, 10);
      if (stamp <= at || stamp > most || own.has(idOf(name))) remove(name);
    });
  };

  /** Another tab has something to send, or has sent it. */
  const hear = ({ data: { id, answers } }) => {
    if (!answers) start();
    else if (held.has(id)) settle(id, answers);
  };

  /** Out of the back/forward cache, where no tab is heard. */
  const comeBack = () => {
    const left = new Set(all().map(([name]) => idOf(name)));
    const gone = [...held.keys()].filter((id) => !left.has(id));
    giveUp(gone, "Another tab sent this while the page was away: read what came of it.", (layer) => layer.answered());
    start();
  };

  const follow = (types, run) => types.map((type) => page?.on(type, (event) => place && run(event)));
  const offs = [
    // Who is frozen, or kept for the way back, keeps its lock and sends nothing.
    ...follow(["pagehide", "freeze"], halt),
    ...follow(["pageshow"], ({ persisted }) => persisted && comeBack()),
    ...follow(["resume"], start),
  ];

  const opened = Promise.resolve(user).then((known) => {
    if (known === null || !storage) return;
    place = `tidegate:outbox:${encodeURIComponent(known)}:`;
    channel = openChannel?.(place) ?? null;
    // It may have been made only to forget.
    if (closed) return;
    if (channel) channel.onmessage = hear;
    all().forEach(([name, text]) => hold(idOf(name), entryOf(text)?.requests ?? []));
    start();
  });

  const put = (id, text) => {
    const waiting = all();
    const count = waiting.reduce((sum, [, other]) => sum + other.length, text.length);
    if (waiting.length >= MOST || count > MOST_CHARACTERS) {
      giveUp([id], "The outbox is full: it takes more once the network is back.", (layer) => layer.drop());
      return;
    }
    const stamp = Math.max(Math.trunc(clock.wall()), 1 + parseInt(waiting.at(-1)?.[0] ?? 0, 10));
    keep(`${String(stamp).padStart(STAMP_DIGITS, "0")}-${id}`, text);
    channel?.postMessage({ id });
    start();
  };

  const enqueue = (given) =>
    new Promise((resolve, reject) => {
      if (closed) throw failure("The sync is closed: make another one to write with.");
      const requests = given.map(toKeep);
      const id = randomText(8);
      const text = JSON.stringify({ requests, answers: [] });
      hold(id, requests, given, resolve, reject);
      own.add(id);
      opened.then(() => held.has(id) && put(id, text));
    });

  return {
    batch: enqueue,
    async enqueue(request) {
      const [answer] = await enqueue([request]);
      if (answer.ok) return answer;
      const { status } = answer;
      const problem = problemOf(answer);
      throw failure(`A write was refused with ${status}. ${problem.detail ?? ""}`.trim(), { request, status, problem });
    },
    /** Signs out as of `at`. The sync tells the other tabs. */
    forget(at) {
      signOut();
      opened.then(() => drop(at));
    },
    stop() {
      closed = true;
      offs.forEach((off) => off?.());
      giveUpAll("The sync was closed: what is kept is sent at the next visit.");
      opened.then(() => channel?.close());
    },
  };
}
