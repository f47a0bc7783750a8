// What the page lives through, as verbs of a connection.

/** Hidden pages keep their stream: `visibilitychange` and `online` only say that something may have changed. */
export function followPage(page, connection) {
  const handlers = {
    pagehide: () => connection.pause(),
    pageshow: (event) => event.persisted && connection.resume(),
    freeze: () => connection.pause(),
    resume: () => connection.resume(),
    visibilitychange: () => page.hidden() || connection.hint?.(),
    online: () => connection.hint?.(),
  };
  const offs = Object.entries(page ? handlers : {}).map(([type, run]) => page.on(type, run));
  return () => offs.forEach((off) => off());
}
