/** JSON Web Key Sets (RFC 7517): the public keys in them with which a token can be verified. Pure. */
import { z } from "zod";
import type { Algorithm, KeyLocation, VerificationKey } from "./authentication.ts";

/** Keys of one set; an issuer has two or three. */
const KEYS_MAX = 32;
const RSA_BITS_MIN = 2048;
const RSA_BITS_MAX = 8192;

const RSA: readonly Algorithm[] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];

/** Curves by `crv`: the algorithm, and the bytes of a coordinate. */
const CURVES = { "P-256": ["ES256", 32], "P-384": ["ES384", 48] } as const;

const Jwk = z.object({
  kty: z.string(),
  kid: z.string().max(256).optional(),
  use: z.string().optional(),
  key_ops: z.array(z.string()).optional(),
  alg: z.string().optional(),
  crv: z.string().optional(),
  n: z.string().max(2048).optional(),
  e: z.string().max(16).optional(),
  x: z.string().max(256).optional(),
  y: z.string().max(256).optional(),
  d: z.unknown().optional(),
});

const KeySet = z.object({ keys: z.array(z.unknown()).max(KEYS_MAX) });

/** The keys of a set, and what is wrong with the others. */
export interface ParsedKeys {
  readonly keys: readonly VerificationKey[];
  readonly problems: readonly string[];
}

function bytes(text: string | undefined): Uint8Array | undefined {
  if (text === undefined || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  try {
    return Uint8Array.fromBase64(text, { alphabet: "base64url" });
  } catch {
    return undefined;
  }
}

function withoutZeroes(number: Uint8Array): Uint8Array {
  const first = number.findIndex((byte) => byte !== 0);
  return first < 0 ? new Uint8Array() : number.subarray(first);
}

type Material = Pick<VerificationKey, "algorithms" | "material">;

function materialOf(jwk: z.infer<typeof Jwk>): Material | string {
  switch (jwk.kty) {
    case "RSA": {
      const [n, e] = [bytes(jwk.n), bytes(jwk.e)];
      if (n === undefined || e === undefined) return "n or e is not base64url";
      const modulus = withoutZeroes(n);
      const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24;
      if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX) {
        return `the modulus has ${bits} bits; ${RSA_BITS_MIN} to ${RSA_BITS_MAX} are accepted`;
      }
      return { algorithms: RSA, material: { type: "rsa", modulus, exponent: withoutZeroes(e) } };
    }
    case "EC": {
      const curve = jwk.crv === "P-256" || jwk.crv === "P-384" ? CURVES[jwk.crv] : undefined;
      if (curve === undefined) return `curve ${jwk.crv ?? ""} is not accepted`;
      const [algorithm, length] = curve;
      const [x, y] = [bytes(jwk.x), bytes(jwk.y)];
      if (x?.length !== length || y?.length !== length) return `x or y has not ${length} bytes`;
      const point = new Uint8Array([4, ...x, ...y]);
      return { algorithms: [algorithm], material: { type: "point", point } };
    }
    case "OKP": {
      const point = bytes(jwk.x);
      if (jwk.crv !== "Ed25519" || point?.length !== 32) return "only Ed25519 with 32 bytes is accepted";
      return { algorithms: ["EdDSA"], material: { type: "point", point } };
    }
    default:
      return `key type ${jwk.kty} is not accepted`;
  }
}

function keyOf(jwk: z.infer<typeof Jwk>): VerificationKey | string {
  if (jwk.d !== undefined) return "this is a private key, which must stay with its issuer";
  if (jwk.use !== undefined && jwk.use !== "sig") return `its use is ${jwk.use}`;
  if (jwk.key_ops !== undefined && !jwk.key_ops.includes("verify"))
    return "its key_ops do not include verify";
  const material = materialOf(jwk);
  if (typeof material === "string") return material;
  const algorithms =
    jwk.alg === undefined ? material.algorithms : material.algorithms.filter((name) => name === jwk.alg);
  if (algorithms.length === 0) return `algorithm ${jwk.alg ?? ""} is not accepted for it`;
  return { id: jwk.kid, algorithms, material: material.material };
}

/** Reads a set. A key that cannot be used is left out and named. */
export function parseKeySet(json: unknown): ParsedKeys {
  const set = KeySet.safeParse(json);
  if (!set.success) return { keys: [], problems: [`no JSON Web Key Set of at most ${KEYS_MAX} keys`] };
  const keys: VerificationKey[] = [];
  const problems: string[] = [];
  for (const [at, one] of set.data.keys.entries()) {
    const jwk = Jwk.safeParse(one);
    const key = jwk.success ? keyOf(jwk.data) : "no JSON Web Key";
    if (typeof key === "string") problems.push(`key ${jwk.data?.kid ?? at}: ${key}`);
    else keys.push(key);
  }
  return { keys, problems };
}

/** Fetched keys, by `keyOfLocation`. */
export type KeySets = ReadonlyMap<string, { readonly keys: readonly VerificationKey[] }>;

/** Locations with one key are one. */
export function keyOfLocation({ uri, caBundle, refreshMs }: KeyLocation): string {
  return JSON.stringify([uri, caBundle ?? "", refreshMs]);
}
