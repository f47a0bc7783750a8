// The events of a sync, for `for await`.

const MOST_WAITING = 10000;

// `subscribe(fn)` and `onEnd(fn)` give their undo. A loop that is too slow is told, for it would miss what comes.
export function iterate(subscribe, onEnd) {
  const waiting = [];
  let isLost = false;
  let isOver = false;
  let wake = () => {};
  const offs = [
    subscribe((event) => {
      isLost ||= waiting.length === MOST_WAITING;
      if (!isLost) waiting.push(event);
      wake();
    }),
    onEnd(() => {
      isOver = true;
      wake();
    }),
  ];

  return (async function* () {
    try {
      for (;;) {
        if (waiting.length) yield waiting.shift();
        else if (isLost) throw new Error(`This loop is ${MOST_WAITING} events behind.`);
        else if (isOver) return;
        else await new Promise((resolve) => (wake = resolve));
      }
    } finally {
      offs.forEach((off) => off());
    }
  })();
}
