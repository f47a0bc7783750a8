// A clock for the client that runs faster than the page's, and can jump as that of a computer which slept.

export const clockOf = (speed) => {
  const slept = { now: 0, wall: 0 };
  return {
    now: () => performance.now() * speed + slept.now,
    wall: () => Date.now() + slept.wall,
    setTimeout: (fn, ms) => setTimeout(fn, ms / speed),
    clearTimeout: (id) => clearTimeout(id),
    // Browsers differ in whether performance.now() goes on while the computer sleeps.
    sleep: (ms, { counts = false } = {}) => {
      slept.wall += ms;
      slept.now += counts ? ms : 0;
    },
  };
};
