// The npm package jose as an issuer and as a reader of tokens: a list of tasks as JSON on standard input, what
// each gave on standard output.
import {
  SignJWT, createLocalJWKSet, exportJWK, exportSPKI, generateKeyPair, importSPKI, jwtVerify,
} from "jose";

const AUDIENCE = "shop";
const ISSUER = "https://idp.example/";
const secretOf = (text) => new TextEncoder().encode(text);

const signed = (alg, claims, kid) =>
  new SignJWT(claims)
    .setProtectedHeader({ alg, kid, typ: "JWT" })
    .setSubject("user-1").setAudience(AUDIENCE).setIssuer(ISSUER)
    .setIssuedAt().setNotBefore("0s").setExpirationTime("1h").setJti("t-1");

const tasks = {
  // A token, and the key that it is to be checked with, as an issuer publishes it.
  async issue({ alg, secret, claims }) {
    if (secret !== undefined) {
      return { token: await signed(alg, claims, "s").sign(secretOf(secret)) };
    }
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid: "k", use: "sig", alg };
    return { token: await signed(alg, claims, "k").sign(privateKey), jwk, pem: await exportSPKI(publicKey) };
  },

  // What a token says, by a secret, a PEM or a JWKS; or why not.
  async read({ token, alg, secret, pem, jwks }) {
    const key = secret !== undefined ? secretOf(secret)
      : pem !== undefined ? await importSPKI(pem, alg) : createLocalJWKSet(jwks);
    try {
      const options = { algorithms: [alg], audience: AUDIENCE, issuer: ISSUER };
      return { claims: (await jwtVerify(token, key, options)).payload };
    } catch (error) {
      return { refused: error.code };
    }
  },
};

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const results = [];
for (const { task, ...given } of JSON.parse(Buffer.concat(chunks))) results.push(await tasks[task](given));
process.stdout.write(JSON.stringify(results));
