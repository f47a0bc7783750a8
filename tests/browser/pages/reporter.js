// What a page needs that does a test by itself and reports what it found.

const DEADLINE_MS = 60_000;
const EVERY_MS = 20;

const query = new URLSearchParams(location.search);

const post = (told) => fetch(query.get("reporter"), { method: "POST", body: JSON.stringify(told) });

// The test does what it calls `name`; it is done when this resolves.
export const wish = (name) => post({ wish: name });

export const until = async (holds, what) => {
  const end = performance.now() + DEADLINE_MS;
  while (!holds()) {
    if (performance.now() > end) {
      throw new Error(`never came true: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
};

// Runs `test` and reports what it gives, or that it failed.
export const report = async (test) => {
  try {
    await post(await test(query));
  } catch (error) {
    await post({ failed: `${error}\n${error.stack}` });
  }
};
