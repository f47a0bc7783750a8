// What a page keeps for its next load: the cursors with what they describe, per user and selection.

import { parseCursor } from "./cursor.js";

const VERSION = 1;
const MAX_CHARACTERS = 1 << 20;
const MAX_AGE_MS = 24 * 3_600_000;
const SAVE_MS = 1_000;

export const createPersistence = ({ environment, key, store, isEnabled = true, forgotten }) => {
  const { clock, storage, page, openChannel } = environment;
  const ofUser = key.split(":", 3).join(":") + ":";
  const channel = openChannel?.(ofUser);
  const began = clock.wall();
  let saved;
  let timer = null;
  let isOver = !storage || !isEnabled;

  const end = () => {
    isOver = true;
    save();
  };

  const load = () => {
    if (isOver) return;
    const empty = store.dump();
    try {
      const kept = JSON.parse(storage.getItem(key));
      const isFresh = kept.v === VERSION && Math.abs(clock.wall() - kept.savedAt) <= MAX_AGE_MS;
      if (isFresh && Object.values(kept.cursors).every(parseCursor)) {
        store.restore(kept);
      }
    } catch {
      // Whatever stands there instead: the page begins anew.
      store.restore(empty);
    }
  };

  const save = () => {
    clock.clearTimeout(timer);
    timer = null;
    if (isOver || !store.cursor) {
      return;
    }
    saved = JSON.stringify({ v: VERSION, savedAt: clock.wall(), ...store.dump() });
    if (saved.length > MAX_CHARACTERS) {
      // A cursor without what it describes would hide what came before it; and to write so much each second costs too much.
      storage.removeItem(key);
      end();
    } else {
      storage.setItem(key, saved);
    }
  };

  const offs = ["pagehide", "freeze", "visibilitychange"].map((type) =>
    page?.on(type, () => (type !== "visibilitychange" || page.hidden()) && save()),
  );

  if (channel) {
    // A tab that was frozen is told late: whoever signed in since is not meant.
    channel.onmessage = ({ data }) => {
      data < began || forgotten(data);
    };
  }

  return {
    load,
    save,
    saveSoon() {
      if (!isOver) {
        timer ??= clock.setTimeout(save, SAVE_MS);
      }
    },
    /** Gives the time as of which it is forgotten: `at` where another tab did. That left what was saved here since. */
    forget(at) {
      end();
      storage?.keys().forEach((name) => {
        if (at ? storage.getItem(name) === saved : name.startsWith(ofUser)) storage.removeItem(name);
      });
      at || channel?.postMessage((at = clock.wall()));
      return at;
    },
    stop() {
      save();
      end();
      offs.forEach((off) => off?.());
      channel?.close();
    },
  };
};
