/**
 * Tokens made by an implementation that shares no code with the proxy (`jose`), and what the proxy must say of each: its
 * tests read `proxy/tls/tests/vectors/tokens.json`. Written anew by `node mesh/policy/token-vectors.ts`.
 */
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { CompactSign, exportJWK, exportSPKI, generateKeyPair, type CryptoKey, type JWK } from "jose";
import { ALGORITHMS, type Algorithm } from "../model/authentication.ts";
import { parseKeySet } from "../model/jwks.ts";

/** One token. `expect` is `ok` or the code of the refusal. */
interface TokenVector {
  readonly name: string;
  readonly token: string;
  readonly expect: string;
}

/** A key as the control plane sends it, in hexadecimal digits. */
interface KeyVector {
  readonly id: string;
  readonly algorithms: readonly string[];
  readonly modulus: string;
  readonly exponent: string;
  readonly point: string;
}

interface Vectors {
  readonly issuer: string;
  readonly audience: string;
  /** Seconds since 1970 at which the tokens are judged. */
  readonly now: number;
  readonly jwks: { readonly keys: readonly JWK[] };
  readonly keys: readonly KeyVector[];
  readonly tokens: readonly TokenVector[];
}

const ISSUER = "https://issuer.example";
const AUDIENCE = "payments";
const NOW = 1_800_000_000;
const CLAIMS = { iss: ISSUER, aud: AUDIENCE, sub: "ann", exp: NOW + 600 };

interface Signer {
  readonly algorithm: Algorithm;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

async function signer(algorithm: Algorithm): Promise<Signer> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: `key-${algorithm}`, alg: algorithm, use: "sig" };
  return { algorithm, privateKey, publicKey, jwk };
}

async function signed(
  { algorithm, privateKey, jwk }: Signer,
  payload: string | object = CLAIMS,
  header: object = {},
): Promise<string> {
  const bytes = new TextEncoder().encode(typeof payload === "string" ? payload : JSON.stringify(payload));
  const protectedHeader = { alg: algorithm, kid: String(jwk.kid), ...header };
  return new CompactSign(bytes).setProtectedHeader(protectedHeader).sign(privateKey);
}

const encode = (value: string | object): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** The parts of a token, to put together otherwise. */
function parts(token: string): readonly [string, string, string] {
  const [header = "", payload = "", signature = ""] = token.split(".");
  return [header, payload, signature];
}

/** The same bits but for those that stand for nothing: a second spelling of one signature. */
function otherSpelling(signature: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(signature.slice(-1));
  return `${signature.slice(0, -1)}${alphabet[last ^ 1] ?? ""}`;
}

type Row = readonly [name: string, token: string, expect: string];

/** Tokens whose form or signature is wrong. */
async function forgeries(es: Signer, rs: Signer): Promise<readonly Row[]> {
  const good = await signed(es);
  const [header, payload, signature] = parts(good);
  const hmac = async (secret: string): Promise<string> => {
    const key = new TextEncoder().encode(secret);
    const bytes = new TextEncoder().encode(JSON.stringify(CLAIMS));
    return new CompactSign(bytes).setProtectedHeader({ alg: "HS256", kid: String(rs.jwk.kid) }).sign(key);
  };
  return [
    ["alg none without a signature", `${encode({ alg: "none" })}.${payload}.`, "token_algorithm"],
    ["alg none with a signature", `${encode({ alg: "none" })}.${payload}.${signature}`, "token_algorithm"],
    ["alg NONE", `${encode({ alg: "NONE" })}.${payload}.${signature}`, "token_algorithm"],
    [
      "HS256 with the public key as its secret",
      await hmac(await exportSPKI(rs.publicKey)),
      "token_algorithm",
    ],
    ["another algorithm for the key", await signed(rs, CLAIMS, { kid: String(es.jwk.kid) }), "token_key"],
    ["a kid that is a path", await signed(es, CLAIMS, { kid: "../../dev/null" }), "token_key"],
    ["a kid that is a query", await signed(es, CLAIMS, { kid: "' OR 1=1 --" }), "token_key"],
    [
      "a kid that is no text",
      `${encode({ alg: "ES256", kid: 1 })}.${payload}.${signature}`,
      "token_malformed",
    ],
    [
      "a crit header",
      `${encode({ alg: "ES256", crit: ["x"], x: 1 })}.${payload}.${signature}`,
      "token_malformed",
    ],
    [
      "b64 false",
      `${encode({ alg: "ES256", b64: false, crit: ["b64"] })}.${payload}.${signature}`,
      "token_malformed",
    ],
    ["a detached payload", `${header}..${signature}`, "token_malformed"],
    ["a second alg", `${encode('{"alg":"ES256","alg":"none"}')}.${payload}.${signature}`, "token_malformed"],
    [
      "a second aud",
      await signed(es, `{"iss":"${ISSUER}","aud":"x","aud":"payments","exp":${NOW + 600}}`),
      "token_malformed",
    ],
    ["a payload that is no object", await signed(es, "[]"), "token_malformed"],
    ["a changed payload", `${header}.${encode({ ...CLAIMS, sub: "eve" })}.${signature}`, "token_signature"],
    [
      "a changed header",
      `${encode({ alg: "ES256", kid: "key-ES256", typ: "JWT" })}.${payload}.${signature}`,
      "token_signature",
    ],
    ["a zero signature", `${header}.${payload}.${encode("\0".repeat(64))}`, "token_signature"],
    ["a signature cut short", `${header}.${payload}.${signature.slice(0, -2)}`, "token_signature"],
    ["no signature", `${header}.${payload}.`, "token_malformed"],
    ["padding", `${good}==`, "token_malformed"],
    ["bits that stand for nothing", `${header}.${payload}.${otherSpelling(signature)}`, "token_malformed"],
    [
      "the other base64 alphabet",
      `${header}.${payload}.${signature.replaceAll(/[-_A]/g, "+")}`,
      "token_malformed",
    ],
    ["whitespace", `${header}.${payload}.${signature}\n`, "token_malformed"],
    ["cut short", good.slice(0, good.length - signature.length - 1), "token_malformed"],
    ["a fourth part", `${good}.${signature}`, "token_malformed"],
    ["five parts", `${header}.${payload}.${signature}.${header}.${payload}`, "token_malformed"],
    ["oversized", await signed(es, { ...CLAIMS, pad: "x".repeat(16_384) }), "token_malformed"],
    ["nothing", "", "token_malformed"],
  ];
}

/** Tokens whose signature holds and whose claims do not count. */
async function misfits(es: Signer): Promise<readonly Row[]> {
  return [
    ["expired beyond the skew", await signed(es, { ...CLAIMS, exp: NOW - 31 }), "token_expired"],
    ["without an end", await signed(es, { iss: ISSUER, aud: AUDIENCE }), "token_expired"],
    ["an end that is a text", await signed(es, { ...CLAIMS, exp: String(NOW + 600) }), "token_expired"],
    ["not before the future", await signed(es, { ...CLAIMS, nbf: NOW + 60 }), "token_not_yet"],
    ["another audience", await signed(es, { ...CLAIMS, aud: ["orders"] }), "token_audience"],
    ["no audience", await signed(es, { iss: ISSUER, exp: NOW + 600 }), "token_audience"],
    ["another issuer", await signed(es, { ...CLAIMS, iss: `${ISSUER}/` }), "token_issuer"],
  ];
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** New keys and tokens. */
async function makeVectors(): Promise<Vectors> {
  const signers = await Promise.all(ALGORITHMS.map(signer));
  const find = (algorithm: Algorithm): Signer => {
    const found = signers.find((one) => one.algorithm === algorithm);
    if (found === undefined) throw new Error(`no key for ${algorithm}`);
    return found;
  };
  const good = await Promise.all(
    signers.map(async (one) => ({ name: one.algorithm, token: await signed(one), expect: "ok" })),
  );
  const edges: readonly TokenVector[] = [
    {
      name: "within the skew",
      token: await signed(find("ES256"), { ...CLAIMS, exp: NOW - 29 }),
      expect: "ok",
    },
    {
      name: "several audiences",
      token: await signed(find("EdDSA"), { ...CLAIMS, aud: ["x", AUDIENCE] }),
      expect: "ok",
    },
  ];
  const bad = [...(await forgeries(find("ES256"), find("RS256"))), ...(await misfits(find("ES256")))];
  const jwks = { keys: signers.map(({ jwk }) => jwk) };
  const { keys, problems } = parseKeySet(jwks);
  if (problems.length > 0) throw new Error(problems.join("; "));
  return {
    issuer: ISSUER,
    audience: AUDIENCE,
    now: NOW,
    jwks,
    keys: keys.map(({ id, algorithms, material }) => ({
      id: id ?? "",
      algorithms,
      modulus: material.type === "rsa" ? hex(material.modulus) : "",
      exponent: material.type === "rsa" ? hex(material.exponent) : "",
      point: material.type === "point" ? hex(material.point) : "",
    })),
    tokens: [...good, ...edges, ...bad.map(([name, token, expect]) => ({ name, token, expect }))],
  };
}

/** Where the proxy's tests look. */
export const VECTORS = resolve(
  join(import.meta.dirname, "..", "..", "proxy", "tls", "tests", "vectors", "tokens.json"),
);

if (import.meta.main) writeFileSync(VECTORS, `${JSON.stringify(await makeVectors(), undefined, 1)}\n`);
