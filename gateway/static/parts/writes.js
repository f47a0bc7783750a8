// What a page writes: kept until it is sent, and shown until it comes back. Loaded once the sync is connected.

import { createOutbox } from "./outbox.js";
import { createOverlay } from "./overlay.js";
import { failure } from "./request.js";

export function createWrites({ environment, settings, store, user, tokens, emit, changed }) {
  const overlay = createOverlay({ environment, store, changed });
  return {
    ...createOutbox({ environment, settings, user, tokens, overlay, emit }),
    view: overlay.view,

    async optimistic(entity, change, { write, ...options }) {
      const layer = overlay.add(entity, change, options);
      if (layer.isGone()) throw failure("The server has a later version: nothing was written.", { name: "ConflictError" });
      try {
        const answer = await write();
        if (answer?.ok === false) throw failure(`The write was refused with ${answer.status}.`, { answer });
        layer.answered(answer?.headers?.get("Sync-Cursor") ?? answer?.cursor);
        return answer;
      } catch (error) {
        layer.drop();
        throw error;
      }
    },
  };
}
