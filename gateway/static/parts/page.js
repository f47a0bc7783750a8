// What the page lives through, as a connection's verbs.

/** Hidden pages keep their stream: `visibilitychange` and `online` only say that something may have changed. */
export function followPage(page, connection) {
  const handlers = {
    pagehide: () => connection.pause(),
    pageshow: (event) => event.persisted && connection.resume(),
    visibilitychange: () => page.hidden() || connection.hint?.(),
    resume: () => connection.hint?.(),
    online: () => connection.hint?.(),
  };
  const offs = Object.entries(page ? handlers : {}).map(([type, run]) => page.on(type, run));
  return () => offs.forEach((off) => off());
}
