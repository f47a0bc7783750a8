// Options compared by value: a list that is written inline is another one at each render, and says the same.

/** Whether two options, lists of entities and the like say the same, in whatever order their members stand. */
export const equalOptions = (a, b) => ordered(a) === ordered(b);

const ordered = (value) =>
  JSON.stringify(value, (_, member) =>
    member && typeof member === "object" && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort())
      : member,
  );
