// One connection for all tabs of a browser: a leader by Web Locks relays what it gets over a BroadcastChannel.

import { isAfter, oldest } from "./cursor.js";
import { followPage } from "./page.js";

const BEAT_MS = 2_000;
const RING_MESSAGES = 1_000;
const RING_CHARACTERS = 1 << 20;

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const control = (type, data, rest) => ({ type, data, control: true, ...rest });

export const createShared = ({ name, environment, store, connect, changed }) => {
  const { clock, locks, openChannel, page, random, storage } = environment;
  const me = String(random()).slice(2);
  let status = Object.freeze({ state: "initialized", transport: "sse", error: null });
  let channel = null;
  let asking = null;
  let unfollow = null;
  let release = null; // set while this tab leads
  let spent = false; // its token was refused: others may try theirs

  // Whom this tab follows, and how far in its numbering; `held` is what came since it said hello.
  let term = 0;
  let leader = "";
  let number = 0;
  let held = null;
  let catching = null;
  let heardAt = 0;
  let tickedAt = 0;
  let timer = null;

  // What a leader knows of its term.
  let pending = [];
  let ring = [];
  let weight = 0;
  let before = {};
  let lanes = {};
  let guests = new Map();
  let greeting = null;
  let people = {};

  const show = (next) => {
    if (!same(next, status)) {
      status = Object.freeze(next);
      changed(status);
    }
  };

  const post = (kind, rest) => channel?.postMessage({ kind, term, from: me, ...rest });

  const flush = () => {
    if (pending.length) {
      post("relay", { number, lanes, messages: pending });
      number += pending.length;
      pending = [];
    }
  };

  const beat = () => {
    flush();
    const { error } = status;
    // A clone of an error loses all but its text.
    const plain = error && { ...error, message: error.message };
    post("beat", { number, lanes, cursors: store.cursors, status: { ...status, error: plain } });
  };

  // --- leading

  const remember = (message) => {
    const anew = !same(store.lanes, lanes) || message.type === "reset" || message.type === "state";
    if (anew) {
      flush();
      lanes = store.lanes;
      ring = [];
      weight = 0;
    } else if (message.id && (!message.control || message.type === "refresh")) {
      const size = JSON.stringify(message.data).length;
      weight += size;
      ring.push({ message, before, size });
      while (ring.length > RING_MESSAGES || weight > RING_CHARACTERS) {
        weight -= ring.shift().size;
      }
    }
    before = store.cursors;
  };

  const noteWelcome = ({ type, data }) => {
    if (type === "connected") {
      const { recovered, state, ...rest } = data;
      greeting = rest;
      people = {};
    } else if (type === "presence") {
      const users = data.type === "sync" ? {} : { ...people[data.channel] };
      for (const [user, seen] of Object.entries(data.users)) {
        data.type === "leave" ? delete users[user] : (users[user] = seen);
      }
      people[data.channel] = users;
    }
  };

  /** What a tab with these cursors lacks; null where the ring does not go back so far. */
  const lacking = (guest) => {
    const alike = same(guest.lanes, lanes);
    const least = oldest(Object.values(guest.cursors));
    const has = (cursors) =>
      Object.entries(cursors).every(([lane, cursor]) => cursor && !isAfter(cursor, alike ? guest.cursors[lane] : least));
    if (has(before)) {
      return [];
    }
    const from = ring.findLastIndex((entry) => has(entry.before));
    return from < 0 ? null : ring.slice(from).map(({ message }) => message);
  };

  const states = () => {
    const types = Object.entries(store.dump().entities);
    const cursor = store.cursor;
    return (types.length ? types : [["", []]]).map(([entityType, known], index, { length }) => {
      const items = known.map(([entityId, data]) => ({ entityId, data }));
      const last = index + 1 === length;
      return control("state", { entityType, items, part: index + 1, last, cursor }, last && { id: cursor });
    });
  };

  const admit = () => {
    if (!guests.size || !store.cursor) {
      return;
    }
    flush();
    const welcome = (to, rest) =>
      post("welcome", { to, number, lanes, cursors: store.cursors, greeting, people, ...rest });
    const far = [];
    for (const [from, guest] of guests) {
      const messages = lacking(guest);
      messages ? welcome([from], { messages }) : far.push(from);
    }
    guests.clear();
    if (far.length) {
      welcome(far, { messages: store.complete ? states() : null });
    }
    beat();
  };

  store.applied((message) => {
    if (release) {
      noteWelcome(message);
      remember(message);
      if (pending.push(message) === 1) {
        queueMicrotask(flush);
      }
      admit();
    }
  });

  const own = (next) => {
    if (!release) {
      return;
    }
    show(next);
    beat();
    if (next.state === "failed" && [401, 403].includes(next.error?.status)) {
      spent = true;
      resign();
    }
  };
  const connection = connect(own);

  const lead = (done) => {
    release = done;
    catching?.abort();
    const key = `${name}:term`;
    term = Math.max(term, Number(storage?.getItem(key)) || 0, Math.floor(clock.wall())) + 1;
    try {
      storage?.setItem(key, term);
    } catch {
      // Full: wall time is above earlier terms as well, unless the clock was set back.
    }
    leader = me;
    number = 0;
    held = null;
    pending = [];
    ring = [];
    weight = 0;
    before = store.cursors;
    lanes = store.lanes;
    guests = new Map();
    greeting = null;
    people = {};
    connection.start();
    beat();
  };

  const resign = () => {
    flush();
    const done = release;
    release = null;
    asking = null;
    connection.stop();
    done?.();
  };

  const ask = async (steal) => {
    asking?.abort();
    const mine = new AbortController();
    asking = mine;
    const options = steal ? { steal } : { signal: mine.signal };
    try {
      await locks.request(name, options, () => asking === mine && new Promise(lead));
    } catch (error) {
      if (error.name !== "AbortError") {
        throw error;
      }
    }
    if (asking === mine) {
      // Stolen.
      resign();
      follow();
    }
  };

  // --- following

  const hello = () => {
    catching?.abort();
    catching = null;
    held = [];
    post("hello", { cursors: store.cursors, lanes: store.lanes });
  };

  const split = (theirs) => {
    if (Object.keys(theirs).some((lane) => !(lane in store.lanes))) {
      store.setLanes({ ...store.lanes, ...theirs });
    }
  };

  /** This tab has all that the leader had at these cursors. A lane that is ahead of the leader is merged later. */
  const align = (theirs, cursors) => {
    split(theirs);
    for (const lane of ["", ...Object.keys(store.lanes)]) {
      store.apply(control("poll", undefined, { lane, id: cursors[lane] ?? cursors[""] }));
    }
    const surplus = Object.keys(store.lanes).filter((lane) => !(lane in theirs));
    if (surplus.length && surplus.every((lane) => store.cursors[lane] === store.cursors[""])) {
      store.setLanes(theirs);
    }
  };

  const take = (relay) => {
    if (held) {
      held.push(relay);
      return;
    }
    if (relay.number > number) {
      hello();
      return;
    }
    if (relay.number === number) {
      split(relay.lanes);
      number += relay.messages.length;
      relay.messages.forEach((message) => store.apply(message));
    }
  };

  const enter = async (welcome) => {
    if (!held || catching || !welcome.to.includes(me)) {
      return;
    }
    const { messages, cursors } = welcome;
    split(welcome.lanes);
    if (messages) {
      if (store.cursor && messages[0]?.type === "state") {
        store.apply(control("reset", { reason: "trimmed", state: true, cursor: cursors[""], jitterMs: 0 }));
      }
      messages.forEach((message) => store.apply(message));
    } else if (store.cursor) {
      const { signal } = (catching = new AbortController());
      try {
        await connection.catchUp(signal);
      } catch {
        // The next heartbeat says hello again.
        catching = signal.aborted ? catching : null;
        return;
      }
      if (signal.aborted) {
        return;
      }
      catching = null;
    }
    align(welcome.lanes, cursors);
    if (welcome.greeting) {
      store.apply(control("connected", welcome.greeting));
    }
    for (const [on, users] of Object.entries(welcome.people)) {
      store.apply(control("presence", { channel: on, type: "sync", users }));
    }
    const waiting = held;
    held = null;
    number = welcome.number;
    waiting.forEach(take);
  };

  const heed = (heartbeat) => {
    const { error } = heartbeat.status;
    show({ ...heartbeat.status, transport: "shared", error: error && Object.assign(new Error(error.message), error) });
    if (spent && status.state === "connected") {
      spent = false;
      ask();
    }
    if (held ? !catching : heartbeat.number !== number) {
      hello();
    } else if (!held) {
      align(heartbeat.lanes, heartbeat.cursors);
    }
  };

  const toLeader = {
    hello(guest) {
      guests.set(guest.from, guest);
      admit();
    },
    ping: beat,
    reconnect: () => connection.reconnect(),
  };
  const toFollowers = { beat: heed, relay: take, welcome: enter };

  const receive = (message) => {
    if (release) {
      toLeader[message.kind]?.(message);
      return;
    }
    const handle = toFollowers[message.kind];
    const later = message.term - term || (message.from > leader) - (message.from < leader);
    // Late words of an earlier leader count no more.
    if (!handle || later < 0) {
      return;
    }
    if (later > 0) {
      ({ term, from: leader } = message);
      hello();
    }
    heardAt = clock.now();
    handle(message);
  };

  const tick = () => {
    const now = clock.now();
    if (now - tickedAt > 1.5 * BEAT_MS) {
      // All slept, or timers of a hidden page are slow: the leader gets one more heartbeat to be heard.
      heardAt = Math.max(heardAt, now - BEAT_MS);
    }
    tickedAt = now;
    timer = clock.setTimeout(tick, BEAT_MS);
    if (release) {
      beat();
    } else if (!spent && now - heardAt >= 2 * BEAT_MS) {
      ask(true);
    } else if (now - heardAt >= BEAT_MS) {
      // Of a hidden page the timers are slow, its messages are not.
      post("ping");
    }
  };

  const follow = () => {
    heardAt = clock.now();
    hello();
    ask();
  };

  const leave = (state) => {
    clock.clearTimeout(timer);
    catching?.abort();
    asking?.abort();
    resign();
    channel?.close();
    channel = null;
    show({ ...status, state });
  };

  const face = {
    start() {
      if (!channel) {
        unfollow ??= followPage(page, face);
        channel = openChannel(name);
        channel.onmessage = ({ data }) => receive(data);
        spent = false;
        show({ ...status, state: "connecting", error: null });
        tickedAt = clock.now();
        timer = clock.setTimeout(tick, BEAT_MS);
        follow();
      }
    },
    stop() {
      unfollow?.();
      unfollow = null;
      leave("disconnected");
    },
    pause: () => channel && leave("paused"),
    resume: () => status.state === "paused" && face.start(),
    hint: () => (release ? connection.hint() : post("ping")),
    reconnect() {
      if (!channel) {
        face.start();
      } else if (release) {
        connection.reconnect();
      } else {
        post("reconnect");
        if (spent) {
          spent = false;
          ask();
        }
      }
    },
    get status() {
      return status;
    },
    get leading() {
      return Boolean(release);
    },
  };
  return face;
};
