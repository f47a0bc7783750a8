// What a page keeps for its next load: the cursors with what they describe, per user and selection.

import { parseCursor } from "./cursor.js";

const VERSION = 1;
const MAX_CHARACTERS = 1 << 20;
const MAX_AGE_MS = 24 * 3_600_000;
const SAVE_MS = 1_000;

export const createPersistence = ({ environment, key, store, isEnabled = true, forgotten = () => {} }) => {
  const { clock, storage, page, openChannel } = environment;
  const ofUser = key.split(":", 3).join(":") + ":";
  const channel = openChannel?.(ofUser);
  let timer = null;
  let isOver = !storage || !isEnabled;

  const end = () => {
    isOver = true;
    clock.clearTimeout(timer);
  };

  const erase = () => {
    end();
    storage?.keys().forEach((name) => name.startsWith(ofUser) && storage.removeItem(name));
  };

  const load = () => {
    if (isOver) {
      return false;
    }
    const empty = store.dump();
    try {
      const kept = JSON.parse(storage.getItem(key));
      const isFresh = kept.v === VERSION && Math.abs(clock.wall() - kept.savedAt) <= MAX_AGE_MS;
      if (isFresh && Object.values(kept.cursors).every(parseCursor)) {
        store.restore(kept);
        return true;
      }
    } catch {
      // Whatever stands there instead: the page begins anew.
      store.restore(empty);
    }
    return false;
  };

  const save = () => {
    clock.clearTimeout(timer);
    timer = null;
    if (isOver || !store.cursor) {
      return;
    }
    const text = JSON.stringify({ v: VERSION, savedAt: clock.wall(), ...store.dump() });
    if (text.length > MAX_CHARACTERS) {
      // A cursor without what it describes would hide what came before it; and to write so much each second costs too much.
      storage.removeItem(key);
      end();
    } else {
      storage.setItem(key, text);
    }
  };

  const offs = ["pagehide", "freeze", "visibilitychange"].map((type) =>
    page?.on(type, () => (type !== "visibilitychange" || page.hidden()) && save()),
  );

  if (channel) {
    channel.onmessage = () => {
      erase();
      forgotten();
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
    forget() {
      erase();
      channel?.postMessage("forget");
    },
    stop() {
      save();
      end();
      offs.forEach((off) => off?.());
      channel?.close();
    },
  };
};
