// Cursors (docs/protocol.md, section 2): opaque to pages, and compared here.

const CURSOR = /^([a-z0-9]{1,64})\.(\d{1,20})-(\d{1,20})(?:\.([\w-]{11}))?$/;

export const parseCursor = (text) => {
  const [, epoch, major, minor, scope = ""] = CURSOR.exec(text) ?? [];
  return epoch === undefined ? null : { epoch, major: BigInt(major), minor: BigInt(minor), scope };
};

// A text that no gateway gave is a history of its own, so that nothing is lost on its account.
export const placeOf = (text) =>
  typeof text === "string" ? { text, ...(parseCursor(text) ?? { epoch: text, major: 0n, minor: 0n }) } : text;

export const isAfter = (a, b) => {
  const [one, other] = [placeOf(a), placeOf(b)];
  if (!one || !other || one.epoch !== other.epoch) return Boolean(one);
  return one.major === other.major ? one.minor > other.minor : one.major > other.major;
};

// Null where one of them is: that one has to begin anew. Of two histories the first given counts.
export const oldest = (cursors) =>
  cursors.reduce((old, next) => {
    if (!old || !next) return null;
    return placeOf(old).epoch === placeOf(next).epoch && isAfter(old, next) ? next : old;
  });
