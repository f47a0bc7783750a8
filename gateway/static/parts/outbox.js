// Writes that survive: kept until they are answered, sent in order, one at a time, by one tab.

import { createSender, failure, randomText, read, toKeep } from "./outgoing.js";

const MOST = 1000;
const MOST_CHARACTERS = 1_000_000;
const STAMP_DIGITS = 15;

export function createOutbox({ environment, settings, user, tokens, overlay, emit }) {
  const { clock, storage, locks, openChannel, page } = environment;
  const send = createSender({ environment, settings, tokens });
  // By id, what this tab enqueued, found or sends: {requests, layers, resolve, reject}.
  const held = new Map();
  // By id, as text, what is in no storage.
  const unkept = new Map();
  let place = null;
  let channel = null;
  // The sending that is under way here, or waits until another tab is done with its own.
  let turn = null;
  let closed = false;

  const nameOf = (id) => `${place}:${id}`;

  const keep = (id, text) => {
    if (place && storage.setItem(nameOf(id), text)) unkept.delete(id);
    else unkept.set(id, text);
  };

  const remove = (id) => {
    unkept.delete(id);
    if (place) storage.removeItem(nameOf(id));
  };

  /** [id, text] of all that waits, whichever tab it is of, in the order in which it came. */
  const all = () => {
    const names = place ? Array.from({ length: storage.length }, (_, at) => storage.key(at)) : [];
    const kept = names
      .filter((name) => name?.startsWith(nameOf("")))
      .map((name) => [name.slice(nameOf("").length), storage.getItem(name)]);
    return [...unkept, ...kept].sort(([a], [b]) => (a < b ? -1 : 1));
  };

  /** Shows what the requests change until they are settled. `given`: as the page gave them, with functions. */
  const hold = (id, requests, given = requests, resolve = () => {}, reject = () => {}) => {
    const layers = given.map(
      (request) => request.optimistic !== undefined && overlay.add(request.entity, request.optimistic, request),
    );
    held.set(id, { requests, layers, resolve, reject });
  };

  const settle = (id, answers) => {
    const { requests, layers, resolve } = held.get(id);
    held.delete(id);
    answers.forEach(({ ok, status, cursor, body }, at) => {
      if (!ok) emit("outbox", { request: requests[at], status, problem: body });
      if (!layers[at]) return;
      if (ok) layers[at].answered(cursor);
      else layers[at].drop();
    });
    resolve(answers);
  };

  async function deliver([id, text], signal) {
    const { requests, answers } = read(text) ?? {};
    // This version never wrote that.
    if (!Array.isArray(requests)) return remove(id);
    if (!held.has(id)) hold(id, requests);
    while (answers.length < requests.length) {
      answers.push(await send(requests[answers.length], signal));
      if (answers.length < requests.length) keep(id, JSON.stringify({ requests, answers }));
    }
    remove(id);
    channel?.postMessage({ id, answers });
    settle(id, answers);
  }

  /** Sends all there is, once no other tab does. */
  async function start() {
    if (turn || closed || !all().length) return;
    const { signal } = (turn = new AbortController());
    const work = async () => {
      for (let [first] = all(); first; [first] = all()) await deliver(first, signal);
    };
    try {
      await (place && locks ? locks.request(place, { signal }, work) : work());
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    turn = null;
    start();
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

  const drop = () => {
    giveUpAll("Signed out before this was sent: it is dropped.");
    all().forEach(([id]) => remove(id));
  };

  /** Another tab has signed out, has something to send, or has sent it. */
  const hear = ({ data: { id, answers } }) => {
    if (!id) drop();
    else if (!answers) start();
    else if (held.has(id)) settle(id, answers);
  };

  /** Out of the back/forward cache, where no tab is heard. */
  const comeBack = () => {
    const left = new Set(all().map(([id]) => id));
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

  const opened = Promise.resolve(user).then((name) => {
    if (name === null || !storage || closed) return;
    place = `tidegate:outbox:${encodeURIComponent(name)}`;
    channel = openChannel?.(place) ?? null;
    if (channel) channel.onmessage = hear;
    [...unkept].forEach(([id, text]) => keep(id, text));
    all().forEach(([id, text]) => held.has(id) || hold(id, read(text)?.requests ?? []));
  });
  opened.then(start);

  const enqueue = (given) =>
    new Promise((resolve, reject) => {
      if (closed) throw failure("The sync is closed: make another one to write with.");
      const requests = given.map(toKeep);
      const waiting = all();
      const text = JSON.stringify({ requests, answers: [] });
      const count = waiting.reduce((sum, [, other]) => sum + other.length, text.length);
      if (waiting.length >= MOST || count > MOST_CHARACTERS) {
        throw failure("The outbox is full: have the user wait until the network is back.");
      }
      const stamp = Math.max(Math.trunc(clock.wall()), 1 + parseInt(waiting.at(-1)?.[0] ?? 0, 10));
      const id = `${String(stamp).padStart(STAMP_DIGITS, "0")}-${randomText(4)}`;
      hold(id, requests, given, resolve, reject);
      keep(id, text);
      channel?.postMessage({ id });
      opened.then(start);
    });

  return {
    batch: enqueue,
    async enqueue(request) {
      const [answer] = await enqueue([request]);
      if (answer.ok) return answer;
      const { status, body: problem } = answer;
      const { method, path, url } = toKeep(request);
      throw failure(`${method} ${url ?? path} was refused: ${problem?.detail ?? status}`, { request, status, problem });
    },
    forget() {
      opened.then(() => {
        drop();
        channel?.postMessage({});
      });
    },
    stop() {
      closed = true;
      offs.forEach((off) => off?.());
      giveUpAll("The sync was closed: what is kept is sent at the next visit.");
      channel?.close();
    },
  };
}
