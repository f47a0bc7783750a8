// A name that nobody else has and nobody can guess: 16 random bytes, of characters that need no escape anywhere.

export const randomId = () => crypto.getRandomValues(new Uint32Array(4)).join("-");
