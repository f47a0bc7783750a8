// One connection for all tabs of a browser: a leader by Web Locks relays what it gets over a BroadcastChannel.

import { isAfter, oldest } from "./cursor.js";
import { followPage } from "./page.js";

export { countTabs } from "./tab_count.js";

const BEAT_MS = 2_000;
const RING_MESSAGES = 1_000;
const RING_CHARACTERS = 1 << 20;
const TERM_DIGITS = 16;
const TOKEN_REFUSED = [401, 403];

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const control = (type, data, id, lane) => ({ type, data, id, lane, control: true });

export const createShared = ({ name, environment, store, connect, changed }) => {
  const { clock, locks, openChannel, page, random } = environment;
  const me = random();
  let status = null;
  let channel = null;
  let unfollow = null;
  let asking = null;
  let release = null; // Set while this tab leads.
  let isSpent = false; // Its token was refused: others may try theirs.
  let timer = null;
  let tickedAt = 0;

  // Of whom this tab follows, or its own: a number above any seen and the time of day, and who leads. Of two the greater counts.
  let term = "0";
  let number = 0; // Of the messages of this term.
  let held = null; // What was relayed since this tab said hello; null while it is in step.
  let catching = null;
  let heardAt = 0;

  // What a leader knows of its term.
  let pending, ring, weight, before, lanes, guests, greeting, people;

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

  /** Where the leader is: a tab that is in step has all that it had there. */
  const place = () => ({ number, lanes, cursors: store.cursors });

  const beat = () => {
    flush();
    const { error } = status;
    // A clone of an error keeps its text alone.
    post("beat", { ...place(), status: { ...status, error: error && { ...error, message: error.message } } });
  };

  // What this tab does as the leader.

  const beginRing = () => {
    lanes = store.lanes;
    ring = [];
    weight = 0;
  };

  const remember = (message) => {
    const { type, id, data } = message;
    if (type === "reset" || type === "state" || !same(store.lanes, lanes)) {
      flush();
      beginRing();
    } else if (id && (type === "refresh" || !message.control)) {
      const size = JSON.stringify(data).length;
      weight += size;
      ring.push({ message, before, size });
      while (ring.length > RING_MESSAGES || weight > RING_CHARACTERS) {
        weight -= ring.shift().size;
      }
    }
    before = store.cursors;
    if (type === "connected") {
      greeting = data;
      people = {};
    } else if (type === "presence") {
      const users = data.type === "sync" ? {} : { ...people[data.channel] };
      people[data.channel] = { ...users, ...data.users };
      if (data.type === "leave") {
        Object.keys(data.users).forEach((user) => delete people[data.channel][user]);
      }
    }
  };

  /** What a tab lacks, so that it is in step; null where the ring does not go back so far. */
  const lacking = (guest) => {
    if (store.complete && !guest.complete) {
      return null;
    }
    const least = oldest(Object.values(guest.cursors));
    const of = same(guest.lanes, lanes) ? guest.cursors : {};
    const has = (cursors) => Object.entries(cursors).every(([lane, cursor]) => cursor && !isAfter(cursor, of[lane] ?? least));
    if (has(before)) {
      return [];
    }
    const from = ring.findLastIndex((entry) => has(entry.before));
    return from < 0 ? null : ring.slice(from).map(({ message }) => message);
  };

  const state = () => {
    const types = Object.entries(store.dump().entities);
    const { cursor } = store;
    return (types.length ? types : [["", []]]).map(([entityType, known], at, { length }) => {
      const items = known.map(([entityId, data]) => ({ entityId, data }));
      const last = at + 1 === length;
      return control("state", { entityType, items, part: at + 1, last, cursor }, last ? cursor : undefined);
    });
  };

  /** A tab waits where the leader's own state is still to come: then no cursor says what it has. */
  const admit = () => {
    if (!guests.size || !store.cursor) {
      return;
    }
    flush();
    const welcome = (to, messages) => post("welcome", { ...place(), to, messages, greeting, people });
    const far = [];
    guests.forEach((guest, from) => {
      const messages = lacking(guest);
      messages ? welcome([from], messages) : far.push(from);
    });
    guests.clear();
    if (far.length) {
      welcome(far, store.complete ? state() : null);
    }
    beat();
  };

  store.applied((message) => {
    if (release) {
      remember(message);
      if (pending.push(message) === 1) {
        queueMicrotask(flush);
      }
      admit();
    }
  });

  const connection = connect((next) => {
    if (release) {
      show(next);
      beat();
      if (next.state === "failed" && TOKEN_REFUSED.includes(next.error?.status)) {
        isSpent = true;
        resign();
      }
    }
  });
  status = connection.status;

  const lead = (done) => {
    release = done;
    catching?.abort();
    held = null;
    const next = 1 + Math.max(parseInt(term, 10), Math.floor(clock.wall()));
    term = `${String(next).padStart(TERM_DIGITS, "0")}.${me}`;
    number = 0;
    pending = [];
    guests = new Map();
    greeting = null;
    people = {};
    before = store.cursors;
    beginRing();
    connection.start();
    beat();
  };

  const resign = () => {
    const done = release;
    if (done) {
      flush();
      release = null;
      connection.stop();
      asking = null;
      done();
    }
  };

  const ask = async (steal) => {
    asking?.abort();
    const mine = (asking = new AbortController());
    isSpent = false;
    const options = steal ? { steal } : { signal: mine.signal };
    try {
      await locks.request(name, options, () => asking === mine && new Promise(lead));
    } catch (error) {
      if (asking === mine && error.name !== "AbortError") {
        // There are none for this page (a SecurityError): it has nobody to share with.
        lead(() => {});
        return;
      }
    }
    if (asking === mine) {
      // Stolen.
      resign();
      follow();
    }
  };

  // What it does as a follower.

  const hello = () => {
    catching?.abort();
    catching = null;
    held = [];
    const { cursors, complete } = store;
    post("hello", { cursors, complete, lanes: store.lanes });
  };

  const split = (theirs) => {
    const all = { ...store.lanes, ...theirs };
    if (!same(all, store.lanes)) {
      store.setLanes(all);
    }
  };

  /** This tab has all that the leader had there. A lane that is ahead of the leader's is merged later. */
  const align = (leader) => {
    split(leader.lanes);
    for (const [lane, cursor] of Object.entries(store.cursors)) {
      const id = leader.cursors[lane] ?? leader.cursors[""];
      // Nothing is told of where nothing moves: that is every two seconds.
      if (isAfter(id, cursor)) {
        store.apply(control("poll", {}, id, lane));
      }
    }
    const { cursors } = store;
    const merging = Object.keys(cursors).filter((lane) => lane && !(lane in leader.lanes));
    if (merging.length && merging.every((lane) => cursors[lane] === cursors[""])) {
      store.setLanes(leader.lanes);
    }
  };

  const take = (relay) => {
    if (held) {
      held.push(relay);
    } else if (relay.number === number) {
      split(relay.lanes);
      number += relay.messages.length;
      relay.messages.forEach(store.apply);
    }
  };

  const enter = async (welcome) => {
    if (!held || catching || !welcome.to.includes(me)) {
      return;
    }
    const { messages } = welcome;
    split(welcome.lanes);
    if (messages) {
      if (store.cursor && messages[0]?.type === "state") {
        store.apply(control("reset", { reason: "trimmed", state: true, cursor: messages[0].data.cursor, jitterMs: 0 }));
      }
      messages.forEach(store.apply);
    } else if (store.cursor) {
      const mine = (catching = new AbortController());
      const caught = await connection.catchUp(mine.signal).then(
        () => true,
        () => false,
      );
      if (mine.signal.aborted) {
        return;
      }
      catching = null;
      if (!caught) {
        // The next heartbeat says hello again.
        return;
      }
    }
    align(welcome);
    if (welcome.greeting) {
      store.apply(control("connected", welcome.greeting));
    }
    for (const [room, users] of Object.entries(welcome.people)) {
      store.apply(control("presence", { channel: room, type: "sync", users }));
    }
    const waiting = held;
    held = null;
    number = welcome.number;
    waiting.forEach(take);
  };

  const heed = (leader) => {
    const { error, state } = leader.status;
    const isUp = state === "connected";
    if (!held || !isUp) {
      show({ ...leader.status, transport: "shared", error: error && Object.assign(new Error(error.message), error) });
    }
    if (isSpent && isUp) {
      ask();
    }
    if (held ? !catching : leader.number !== number) {
      hello();
    } else if (!held) {
      align(leader);
    }
  };

  const follow = () => {
    heardAt = clock.now();
    hello();
    ask();
  };

  const asLeader = {
    hello(guest) {
      guests.set(guest.from, guest);
      admit();
    },
    ping: beat,
    hint: () => connection.hint(),
    reconnect: () => connection.reconnect(),
  };
  const asFollower = { beat: heed, relay: take, welcome: enter };

  const receive = ({ data }) => {
    if (release) {
      asLeader[data.kind]?.(data);
    } else if (data.kind in asFollower && data.term >= term) {
      if (data.term > term) {
        term = data.term;
        hello();
      }
      heardAt = clock.now();
      asFollower[data.kind](data);
    }
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
    } else if (now - heardAt >= 2 * BEAT_MS && !isSpent) {
      ask(true);
    } else if (now - heardAt >= BEAT_MS) {
      // Of a hidden page the timers are slow, its messages are not.
      post("ping");
    }
  };

  const leave = (state) => {
    clock.clearTimeout(timer);
    catching?.abort();
    asking?.abort();
    asking = null;
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
        channel.onmessage = receive;
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
    hint: () => (release ? connection.hint() : post("hint")),
    reconnect() {
      if (release) {
        connection.reconnect();
      } else if (channel) {
        post("reconnect");
        isSpent && ask();
      } else {
        face.start();
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
