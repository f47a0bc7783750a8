// Whether this network lets no stream through: found out once, kept for a while.

const KEPT_MS = 600_000;

export function createMute({ baseUrl, environment: { clock, storage, network } }) {
  const key = `tidegate:mute:${baseUrl}`;
  let verdict = "";
  return {
    get holds() {
      const [at, where] = (verdict || (storage?.getItem(key) ?? "")).split(" ");
      const age = clock.wall() - at;
      return age >= 0 && age < KEPT_MS && where === network();
    },
    judge(isMute) {
      verdict = isMute ? `${clock.wall()} ${network()}` : "";
      verdict ? storage?.setItem(key, verdict) : storage?.removeItem(key);
    },
  };
}
