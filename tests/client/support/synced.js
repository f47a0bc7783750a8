// A whole sync over the model gateway, with the clock turned by hand.

import "./loaded.js";
import { createSync } from "../../../gateway/static/tidegate.js";
import { createClock, settle } from "./clock.js";
import { createStorage } from "./connected.js";
import { createGateway } from "./gateway.js";

export const ALONE = { page: null, locks: null, openChannel: null };

/** `open(options)` makes a sync, `opened` one that is connected; those of one world share a storage, as loads of one page do. */
export function createWorld({ gateway: options, storage = createStorage() } = {}) {
  const clock = createClock();
  const gateway = createGateway({ clock, ...options });
  const usual = { baseUrl: "http://gateway.test", fetch: gateway.fetch, clock, storage, random: () => 0.5, ...ALONE };
  const open = (given = {}) => createSync({ ...usual, ...given });
  /** One that is connected already. */
  const opened = async (given) => {
    const sync = open(given);
    await settle();
    return sync;
  };
  const keys = () => Array.from({ length: storage.length }, (_, at) => storage.key(at));
  return { clock, gateway, storage, settle, keys, open, opened };
}

/** A token as an issuer makes it; nobody here checks its signature. */
export const tokenOf = (claims) => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`;
