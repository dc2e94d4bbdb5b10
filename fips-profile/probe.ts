/**
 * Whether this Node process is in approved mode: asked of the running process, from inside. Nothing is read from settings;
 * each probe does what must be possible, or tries what must not.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  generateKeyPairSync,
  getFips,
  setFips,
  sign,
  verify,
} from "node:crypto";

/** One thing that was tried. */
export interface Probe {
  readonly name: string;
  readonly holds: boolean;
}

const ZEROS = Buffer.alloc(32);
/** FIPS 180-4's example of one block. */
const SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/** Test case 13 of the GCM specification. */
const GCM_TAG_OF_NOTHING = "530f8afbc74536b9a963b4f1c4cb738b";

const refused = (attempt: () => unknown): boolean => {
  try {
    attempt();
    return false;
  } catch {
    return true;
  }
};
const held = (attempt: () => boolean): boolean => {
  try {
    return attempt();
  } catch {
    return false;
  }
};

function gcm(): boolean {
  const seal = createCipheriv("aes-256-gcm", ZEROS, ZEROS.subarray(0, 12));
  seal.final();
  const isRight = seal.getAuthTag().toString("hex") === GCM_TAG_OF_NOTHING;
  const open = createDecipheriv("aes-256-gcm", ZEROS, ZEROS.subarray(0, 12));
  open.setAuthTag(Buffer.alloc(16));
  return isRight && refused(() => open.final());
}

function ecdsa(): boolean {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signature = sign("sha256", Buffer.from("approved"), privateKey);
  const isOf = (text: string) => verify("sha256", Buffer.from(text), publicKey, signature);
  return isOf("approved") && !isOf("not approved");
}

/** Tries everything. The order is that of reports. */
export function probeNode(): readonly Probe[] {
  return [
    { name: "the process is in FIPS mode", holds: getFips() === 1 },
    { name: "FIPS mode cannot be left", holds: refused(() => setFips(false)) && getFips() === 1 },
    { name: "MD5 is refused", holds: refused(() => createHash("md5").update("abc").digest()) },
    {
      name: "ChaCha20-Poly1305 is refused",
      holds: refused(() =>
        createCipheriv("chacha20-poly1305", ZEROS, ZEROS.subarray(0, 12), { authTagLength: 16 }),
      ),
    },
    {
      name: "SHA-256 gives the published digest",
      holds: held(() => createHash("sha256").update("abc").digest("hex") === SHA256_OF_ABC),
    },
    { name: "AES-256-GCM gives the published tag", holds: held(gcm) },
    { name: "ECDSA on P-256 signs and verifies", holds: held(ecdsa) },
  ];
}

/** Why this process is not in approved mode; `undefined` if it is. */
export function whyNotApproved(probes: readonly Probe[]): string | undefined {
  const failed = probes.filter(({ holds }) => !holds).map(({ name }) => name);
  return failed.length === 0 ? undefined : `not in approved mode; these do not hold: ${failed.join("; ")}`;
}
