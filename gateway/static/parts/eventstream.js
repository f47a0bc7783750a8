// Bytes in, frames out: the HTML standard, section 9.2.6.

/** `onFrame` gets `id` where the frame has moved the last event id, undefined else. */
export function createParser({ onFrame, onRetry }) {
  const decoder = new TextDecoder(); // It drops one leading BOM, and keeps what is left of a character.
  let pieces = []; // Of the line that has not ended: joined once, however many chunks it comes in.
  let afterCr = false;
  let event = "";
  let data = [];
  let id;

  function dispatch() {
    if (data.length) {
      onFrame({ event: event || "message", data: data.join("\n"), id });
      id = undefined;
    }
    event = "";
    data = [];
  }

  const fields = {
    event: (value) => (event = value),
    data: (value) => data.push(value),
    id: (value) => value.includes("\0") || (id = value),
    retry: (value) => /^[0-9]+$/.test(value) && onRetry(+value),
  };

  function take(line) {
    if (!line) {
      return dispatch();
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    return Object.hasOwn(fields, name) && fields[name](value);
  }

  return {
    feed(bytes) {
      let text = decoder.decode(bytes, { stream: true });
      if (!text) {
        return;
      }
      if (afterCr && text[0] === "\n") {
        text = text.slice(1);
      }
      afterCr = text.endsWith("\r");
      const lines = text.split(/\r\n|\r|\n/);
      const rest = lines.pop();
      for (const line of lines) {
        take(pieces.join("") + line);
        pieces = [];
      }
      pieces.push(rest);
    },
  };
}
