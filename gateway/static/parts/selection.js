// What a page asks for, and whether an event is part of it (docs/protocol.md, section 3).

const NAME = /^[\w.-]{1,64}$/;
const CONTROL = /[\x00-\x1f\x7f-\x9f]/;
const QUOTED = /"((?:[^"\\]|\\["\\])*)"/y;
const HEAD = /([^=,]{1,256})=([^.,]*)\./uy;
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?$/i;
const WORDS = { __proto__: null, null: null, true: true, false: false };
const A_FILTER = /^[^=]+=(eq|neq|gte?|lte?|in|is)\./;

const wrong = (sentence) => {
  throw new TypeError(sentence);
};
const listOf = (given) => (given == null ? [] : [].concat(given));

// By code point, as the gateway orders texts: surrogates stand for what comes after all other units.
const unit = (code) => (code < 0xd800 ? code : code < 0xe000 ? code + 0x2000 : code - 0x800);
const compare = (a, b) => {
  if (typeof a !== typeof b || typeof a !== "string") return typeof a === "number" ? a - b : NaN;
  let at = 0;
  while (at < a.length && a[at] === b[at]) at += 1;
  return at < a.length && at < b.length ? unit(a.charCodeAt(at)) - unit(b.charCodeAt(at)) : a.length - b.length;
};

const isIn = (value, operands) => operands.has(value);
const ordered = (holds) => (value, [operand]) => holds(compare(value, operand));
const OPERATORS = {
  __proto__: null,
  eq: isIn,
  in: isIn,
  is: (value, operands) => operands.has(value ?? null),
  neq: (value, operands) => value !== undefined && !operands.has(value),
  gt: ordered((difference) => difference > 0),
  gte: ordered((difference) => difference >= 0),
  lt: ordered((difference) => difference < 0),
  lte: ordered((difference) => difference <= 0),
};

// The filters of one text, with commas between them: each has the member's `path` and `holds(data)`.
const parseFilters = (text) => {
  const isWrong = (why) => wrong(`filter ${text}: ${why}`);
  let at = 0;

  const read = (pattern, why) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text) ?? isWrong(why);
    at = pattern.lastIndex;
    return found;
  };
  const plain = (inList) => {
    const start = at;
    for (let depth = 0; depth || (text[at] !== "," && !(inList && text[at] === ")")); at += 1) {
      if (!inList && at === text.length) break;
      if (at === text.length || (depth && text[at] === ",")) isWrong('write an operand with a comma or parenthesis in quotes, as in.("a,b",c)');
      if (inList) depth += text[at] === "(" ? 1 : text[at] === ")" ? -1 : 0;
    }
    return text.slice(start, at);
  };
  const operand = (name, inList) => {
    const isQuoted = text[at] === '"';
    const given = isQuoted
      ? read(QUOTED, 'a quote has to be closed; write \\" and \\\\ for " and \\ within')[1].replace(/\\(.)/g, "$1")
      : plain(inList);
    if (text[at] !== "," && text[at] !== (inList ? ")" : undefined)) isWrong("a comma has to follow a closing quote");
    if (inList && !isQuoted && A_FILTER.test(given)) isWrong("a filter stands within the list of another one");
    const isWord = !isQuoted && given in WORDS;
    if (name === "is" ? !isWord : isWord && /^[gl]/.test(name)) isWrong(`${name} takes ${name === "is" ? "null, true or false" : "a number or text"}`);
    if (isWord) return WORDS[given];
    if (isQuoted || !NUMBER.test(given)) return given;
    return Number.isFinite(Number(given)) ? Number(given) : isWrong("a number is too large");
  };
  const list = (name) => {
    const operands = [];
    if (text[at] !== "(" || text[at + 1] === ")") isWrong("in takes a list such as in.(7,8)");
    do {
      at += 1;
      operands.push(operand(name, true));
    } while (text[at] === ",");
    at += 1;
    if (at < text.length && text[at] !== ",") isWrong("a comma has to follow the list");
    return operands;
  };

  if (typeof text !== "string" || CONTROL.test(text)) isWrong("it has to be text such as branch_id=eq.7");
  const filters = [];
  do {
    const [, member, name] = read(HEAD, 'it has to look like branch_id=eq.7, and text with a comma in it like name=eq."a,b"');
    const path = member.split(".");
    if (path.includes("")) isWrong("a member's name is missing");
    if (!(name in OPERATORS)) isWrong(`the operators are ${Object.keys(OPERATORS).join(" ")}`);
    const operands = new Set(name === "in" ? list(name) : [operand(name)]);
    filters.push({ path, holds: (data) => OPERATORS[name](memberOf(data, path), operands) });
  } while (text[at++] === ",");
  return filters;
};

const has = (value, name) => typeof value === "object" && value !== null && !Array.isArray(value) && Object.hasOwn(value, name);
const memberOf = (data, path) => path.reduce((value, name) => (has(value, name) ? value[name] : undefined), data);

// `order` or `order:O-1`, an id with a comma in it as it is or in quotes, as [type, id].
const entityOf = (text) => {
  const [, type, , id] = /^([^:]*)(:([^]*))?$/.exec(text) ?? [];
  const named = id?.length > 1 && id.startsWith('"') && id.endsWith('"') ? id.slice(1, -1).replace(/\\(["\\])/g, "$1") : id;
  if (!NAME.test(type) || named === "" || named?.length > 256 || CONTROL.test(named ?? "")) {
    wrong(`entities: ${text} has to be an entity type, such as "order", or one entity, such as "order:O-1"`);
  }
  return [type, named];
};

const nameOf = (option) => (text) => (NAME.test(text) ? text : wrong(`${option}: ${text} has to be 1 to 64 of A-Z a-z 0-9 _ . -`));

// What becomes of an event for one who asked so: itself, a `leave` in its place, or null.
export const selector = ({ entities, eventTypes, filter } = {}) => {
  const wanted = new Set(listOf(entities).map((text) => entityOf(text).filter((part) => part !== undefined).join(":")));
  const types = new Set(listOf(eventTypes).map(nameOf("eventTypes")));
  const filters = listOf(filter).flatMap(parseFilters);
  const match = (data, over) => filters.every(({ path, holds }) => holds(has(over, path[0]) ? over : data));

  return (event) => {
    const { eventType, entityType, entityId, action, data, previous } = event;
    if (types.size && !types.has(eventType)) return null;
    if (wanted.size && !wanted.has(entityType) && !wanted.has(`${entityType}:${entityId}`)) return null;
    // A `leave` says no more of a row than that it is gone: one too many is harmless.
    if (!filters.length || action === "leave") return event;
    if (match(data, action === "delete" ? previous : undefined)) return event;
    if (action !== "update" || !previous || !(match(previous) || match(data, previous))) return null;
    return { ...event, action: "leave", data: undefined, previous: undefined };
  };
};

export const matcher = (filter) => {
  const select = selector(filter);
  return (event) => select(event) !== null;
};

const inQuotes = (id) => (/^"|,/.test(id) ? `"${id.replace(/["\\]/g, "\\$&")}"` : id);

export const selectionParams = (settings) => {
  const params = new URLSearchParams();
  const add = (name, values) => new Set(listOf(values)).forEach((value) => params.append(name, value));
  add("component", settings.components);
  add("entity", listOf(settings.entities).map((text) => entityOf(text)).map(([type, id]) => (id === undefined ? type : `${type}:${inQuotes(id)}`)));
  add("eventTypes", settings.eventTypes);
  add("filter", settings.filter);
  add("presence", settings.presence);
  add("channel", settings.channels);
  if (settings.state) add("state", "with");
  if (settings.hints === "with") for (const name of ["hints", "debounceMs", "maxWaitMs"]) add(name, settings[name]);
  add("clientId", settings.clientId);
  add("clientVersion", settings.clientVersion);
  return params;
};

// The same text for whoever asks for the same, less what `without` names.
export const selectionText = (settings, without) =>
  [...selectionParams({ ...settings, clientId: null, clientVersion: null, ...without })].map((pair) => pair.join("=")).sort().join("&");
