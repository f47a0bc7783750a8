// What a page asks for, and whether an event is part of it (docs/protocol.md, section 3).

const NAME = /^[\w.-]{1,64}$/;
const CONTROL = /[\x00-\x1f\x7f-\x9f]/;
const HEAD = /([^=,]+)=(eq|neq|gte?|lte?|in|is)\./y;
const QUOTED = /"((?:[^"\\]|\\["\\])*)"/y;
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?$/i;
const WORDS = new Map([["null", null], ["true", true], ["false", false]]);
const ORDERS = { gt: (order) => order > 0, gte: (order) => order >= 0, lt: (order) => order < 0, lte: (order) => order <= 0 };

const refuse = (option, text, fitting) => {
  throw new TypeError(`${option}: ${text} has to be ${fitting}`);
};
const listOf = (given) => [given ?? []].flat();
export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const has = (value, name) => isObject(value) && Object.hasOwn(value, name);

// By code point, as the gateway orders texts: surrogates stand for what comes after all other units.
const unit = (code) => (code < 0xd800 ? code : code < 0xe000 ? code + 0x2000 : code - 0x800);
const compare = (a, b) => {
  if (typeof a !== typeof b) return NaN;
  if (typeof a === "number") return a - b;
  let at = 0;
  while (at < a.length && a[at] === b[at]) at += 1;
  return at < a.length && at < b.length ? unit(a.charCodeAt(at)) - unit(b.charCodeAt(at)) : a.length - b.length;
};

const compares = (name, operands) => {
  const [first] = operands;
  if (ORDERS[name]) return (value) => ORDERS[name](compare(value, first));
  if (name === "neq") return (value) => value !== undefined && !operands.has(value);
  return (value) => operands.has(name === "is" ? (value ?? null) : value);
};

// The filters that one text writes, with commas between them: each has the member's `path` and `holds(data)`.
const parseFilters = (text) => {
  const wrong = () => refuse("filter", text, "such as branch_id=eq.7");
  let at = 0;
  const read = (pattern) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text) ?? wrong();
    at = pattern.lastIndex;
    return found;
  };
  // In a list parentheses come in pairs, else it could end elsewhere.
  const readPlain = (isListed) => {
    const start = at;
    let depth = 0;
    for (; at < text.length && text[at] !== "," && (!isListed || depth || text[at] !== ")"); at += 1) {
      depth += (text[at] === "(") - (text[at] === ")");
    }
    const given = text.slice(start, at);
    // Nor is one that could be a filter of its own lost without a word.
    HEAD.lastIndex = 0;
    return isListed && (depth || HEAD.test(given)) ? wrong() : given;
  };
  const readOperand = (name, end) => {
    const isQuoted = text[at] === '"';
    const given = isQuoted ? read(QUOTED)[1].replace(/\\(.)/g, "$1") : readPlain(end);
    const isWord = !isQuoted && WORDS.has(given);
    if ((text[at] !== "," && text[at] !== end) || (name === "is" ? !isWord : isWord && ORDERS[name])) wrong();
    if (isWord) return WORDS.get(given);
    if (isQuoted || !NUMBER.test(given)) return given;
    return Number.isFinite(+given) ? +given : wrong();
  };
  const readList = () => {
    const operands = [];
    if (text[at] !== "(" || text[at + 1] === ")") wrong();
    while (text[at] !== ")") {
      at += 1;
      operands.push(readOperand("in", ")"));
    }
    at += 1;
    return operands;
  };

  const filters = [];
  if (CONTROL.test(text)) wrong();
  do {
    const [, member, name] = read(HEAD);
    const path = member.split(".");
    const holds = compares(name, new Set(name === "in" ? readList() : [readOperand(name)]));
    if (path.includes("") || [...member].length > 256 || (at < text.length && text[at] !== ",")) wrong();
    filters.push({ path, holds: (data) => holds(path.reduce((value, step) => (has(value, step) ? value[step] : undefined), data)) });
  } while (at++ < text.length);
  return filters;
};

export const nameOf = (option) => (text) => (NAME.test(text) ? text : refuse(option, text, "1 to 64 of A-Z a-z 0-9 _ . -"));

// `order` or `order:O-1`, an id with a comma in it as it is or in quotes, as [type, id].
const entityOf = (text) => {
  const [, type, given] = /^([^:]*):?([^]*)$/.exec(text);
  const id = /^".*"$/.test(given) ? given.slice(1, -1).replace(/\\(["\\])/g, "$1") : given;
  if (!NAME.test(type) || (!id && type !== text) || id.length > 256 || CONTROL.test(id)) refuse("entities", text, "such as order:O-1");
  return [type, id];
};

// What becomes of an event for one who asked so: itself, a `leave` in its place, or null.
export const selector = ({ entities, eventTypes, filter } = {}) => {
  const wanted = new Set(listOf(entities).map((text) => entityOf(text).join(":")));
  const types = new Set(listOf(eventTypes).map(nameOf("eventTypes")));
  const filters = listOf(filter).flatMap(parseFilters);
  const match = (data, over) => filters.every(({ path, holds }) => holds(has(over, path[0]) ? over : data));

  return (event) => {
    const { eventType, entityType, entityId, action, data, previous } = event;
    if (types.size && !types.has(eventType)) return null;
    if (wanted.size && !(entityType && (wanted.has(`${entityType}:`) || wanted.has(`${entityType}:${entityId}`)))) return null;
    // A `leave` says no more of a row than that it is gone: one too many is harmless.
    if (!filters.length || action === "leave") return event;
    if (match(data, action === "delete" && previous)) return event;
    if (action !== "update" || !previous || !(match(previous) || match(data, previous))) return null;
    const { data: now, previous: before, ...left } = event;
    return { ...left, action: "leave" };
  };
};

export const matcher = (filter) => {
  const select = selector(filter);
  return (event) => select(event) !== null;
};

const inQuotes = (id) => (/^"|,/.test(id) ? `"${id.replace(/["\\]/g, "\\$&")}"` : id);

export const selectionParams = ({ hints, debounceMs, maxWaitMs, ...settings }) => {
  const params = new URLSearchParams();
  const entities = listOf(settings.entities).map(entityOf);
  const wanted = {
    component: settings.components,
    entity: entities.map(([type, id]) => (id ? `${type}:${inQuotes(id)}` : type)),
    eventTypes: settings.eventTypes,
    filter: settings.filter,
    presence: settings.presence,
    channel: settings.channels,
    state: settings.state ? "with" : [],
    ...(hints === "with" && { hints, debounceMs: debounceMs || [], maxWaitMs: maxWaitMs || [] }),
    clientId: settings.clientId,
    clientVersion: settings.clientVersion,
  };
  for (const [name, values] of Object.entries(wanted)) new Set(listOf(values)).forEach((value) => params.append(name, value));
  return params;
};

// The same text for whoever asks for the same, less what `without` names.
export const selectionText = (settings, without) =>
  [...selectionParams({ ...settings, clientId: null, clientVersion: null, ...without })].map((pair) => pair.join("=")).sort().join("&");
