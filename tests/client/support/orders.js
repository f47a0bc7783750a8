// Orders as they change: messages as every transport hands them to the store, one position after the other.

export const cursorAt = (position, epoch = "k3f9x2") => `${epoch}.${position}-0`;

/** The order's new state; `type` is the event's. */
export const orderChanged = (position, entityId, data, { type = "order_updated", ...members } = {}) => ({
  type,
  id: cursorAt(position),
  data: { id: cursorAt(position), eventType: type, entityType: "order", entityId, action: "update", data, ...members },
  control: false,
});

/** A control event, with an id where it has a position. */
export const control = (type, data = {}, id = undefined) => ({ type, id, data, control: true });

export const heartbeat = (position) => control("heartbeat", {}, cursorAt(position));

/** A state in one part: `orders` by id. */
export const wholeState = (position, orders, epoch) => {
  const items = Object.entries(orders).map(([entityId, data]) => ({ entityId, data }));
  const cursor = cursorAt(position, epoch);
  return control("state", { entityType: "order", items, part: 1, last: true, cursor }, cursor);
};
