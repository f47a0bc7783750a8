// The page's token: asked for when there is none, when it is over, and when it was refused.

const LONGEST_MS = 30_000;

/** What a JWT claims; an empty object of an opaque token. Nobody here checks its signature. */
export function claimsOf(token) {
  try {
    return JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))) ?? {};
  } catch {
    return {};
  }
}

/** `get(refused)` gives a token that is neither over nor the refused one, null where the page has none. */
export function createTokens({ getToken, environment: { clock } }) {
  let token = null;
  let asking = null;
  const isOver = (given) => claimsOf(given).exp * 1000 <= clock.wall();

  async function ask() {
    let timer;
    const late = new Promise((_, reject) => {
      timer = clock.setTimeout(() => reject(new Error("Nothing came in time.")), LONGEST_MS);
    });
    const given = (await Promise.race([Promise.resolve().then(getToken), late]).finally(() => clock.clearTimeout(timer))) ?? null;
    if (isOver(given)) {
      throw new Error("getToken gave an expired token.");
    }
    return given;
  }

  return {
    async get(refused) {
      if (!getToken || (token !== null && token !== refused && !isOver(token))) {
        return token;
      }
      // One call at a time, whoever waits for it.
      asking ??= ask().finally(() => (asking = null));
      token = await asking;
      return token;
    },
  };
}
