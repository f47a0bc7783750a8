// How many tabs of a browser have a stream each, where they can't share one.

const MOST_OTHERS = 3;

/** Over plain HTTP, where pages have no Web Locks, a browser speaks HTTP/1.1 alone. Gives what ends it. */
export const countTabs = ({ openChannel, random }, origin) => {
  const channel = origin.startsWith("http:") ? openChannel?.(`tidegate:tabs:${origin}`) : null;
  if (!channel) {
    return () => {};
  }
  const me = random();
  let others = 0;
  channel.onmessage = ({ data: { asks, to } }) => {
    if (asks) {
      channel.postMessage({ to: asks });
    } else if (to === me) {
      others += 1;
      if (others === MOST_OTHERS + 1) {
        console.warn(
          "Tidegate: more than four tabs have a stream each, and over HTTP/1.1 a browser opens six connections to a host: " +
            "serve the page by HTTPS, so that its tabs share one stream, or speak HTTP/2.",
        );
      }
    }
  };
  channel.postMessage({ asks: me });
  return () => channel.close();
};
