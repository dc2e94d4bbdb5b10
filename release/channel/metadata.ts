/** The signed documents of a TUF repository, from what they are to say. No file, no clock. */
import { createHash } from "node:crypto";
import { signWith, type KeyPair } from "@hauberk/crypto/algorithms.ts";
import { Metadata, Root, Signature, Snapshot, Targets, Timestamp } from "@tufjs/models";
import { keyIdOf, signersOf, tufKey, type Keyring } from "./keys.ts";
import { CHANNELS, RULES, type RoleName } from "./roles.ts";

const SPEC_VERSION = "1.0.31";
const DAY_MS = 86_400_000;

/** A document as it is stored, and its version. */
export interface Document {
  readonly version: number;
  readonly bytes: Buffer;
}

/** A file that the channel vouches for. */
export interface Target {
  /** Path among the targets, as `stable/hauberk-1.0.0.json`. */
  readonly path: string;
  readonly bytes: Buffer;
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** TUF's times have no fractions of seconds. */
function expiry(role: RoleName, now: Date): string {
  const whole = Math.floor(now.getTime() / 1000) * 1000;
  return new Date(whole + RULES[role].days * DAY_MS).toISOString().replace(".000", "");
}

function common(role: RoleName, type: string, version: number, now: Date) {
  return { _type: type, spec_version: SPEC_VERSION, version, expires: expiry(role, now) };
}

type Signed = Root | Targets | Snapshot | Timestamp;

function sealed(signed: Signed, signers: readonly KeyPair[]): Document {
  const metadata = new Metadata(signed);
  for (const pair of signers) {
    const keyID = keyIdOf(tufKey(pair.publicKey));
    metadata.sign((data) => new Signature({ keyID, sig: Buffer.from(signWith(pair, data)).toString("hex") }));
  }
  return { version: signed.version, bytes: Buffer.from(JSON.stringify(metadata.toJSON())) };
}

/** How metadata lists the keys of `roles`, each by its identifier. */
function keysOf(roles: readonly RoleName[], ring: Keyring) {
  const keys = roles.flatMap((role) =>
    RULES[role].keys.map((name) => {
      const pair = ring.get(name);
      if (pair === undefined) throw new Error(`the key ${name} is needed to delegate to ${role}`);
      return tufKey(pair.publicKey);
    }),
  );
  return Object.fromEntries(keys.map((key) => [keyIdOf(key), { ...key }]));
}

function roleOf(role: RoleName, ring: Keyring) {
  return { keyids: Object.keys(keysOf([role], ring)), threshold: RULES[role].threshold };
}

/**
 * The root: who signs for the other roles. A new version is signed by those who signed for the one before and by those
 * whom it names (specification 5.3.4); `before` holds the former where keys change.
 */
export function rootDocument(version: number, ring: Keyring, now: Date, before?: Keyring): Document {
  const named = ["root", "targets", "snapshot", "timestamp"] as const;
  const signed = Root.fromJSON({
    ...common("root", "root", version, now),
    consistent_snapshot: true,
    keys: keysOf(named, ring),
    roles: Object.fromEntries(named.map((role) => [role, roleOf(role, ring)])),
  });
  const signers = [...signersOf("root", ring), ...(before === undefined ? [] : signersOf("root", before))];
  return sealed(signed, signers);
}

function targetMap(targets: readonly Target[]) {
  return Object.fromEntries(
    targets.map(({ path, bytes }) => [path, { length: bytes.length, hashes: { sha256: sha256(bytes) } }]),
  );
}

/** The top-level targets, which delegate each channel's folder to the channel's own signers. */
export function targetsDocument(
  version: number,
  targets: readonly Target[],
  ring: Keyring,
  now: Date,
): Document {
  const signed = Targets.fromJSON({
    ...common("targets", "targets", version, now),
    targets: targetMap(targets),
    delegations: {
      keys: keysOf(CHANNELS, ring),
      roles: CHANNELS.map((name) => ({
        name,
        ...roleOf(name, ring),
        terminating: true,
        paths: [`${name}/*`],
      })),
    },
  });
  return sealed(signed, signersOf("targets", ring));
}

/** What a channel vouches for. */
export function channelDocument(
  channel: "stable" | "edge",
  version: number,
  targets: readonly Target[],
  ring: Keyring,
  now: Date,
): Document {
  const signed = Targets.fromJSON({
    ...common(channel, "targets", version, now),
    targets: targetMap(targets),
  });
  return sealed(signed, signersOf(channel, ring));
}

function metaOf({ version, bytes }: Document) {
  return { version, length: bytes.length, hashes: { sha256: sha256(bytes) } };
}

/** Which versions of all targets documents belong together. */
export function snapshotDocument(
  version: number,
  documents: ReadonlyMap<string, Document>,
  ring: Keyring,
  now: Date,
): Document {
  const signed = Snapshot.fromJSON({
    ...common("snapshot", "snapshot", version, now),
    meta: Object.fromEntries([...documents].map(([name, document]) => [`${name}.json`, metaOf(document)])),
  });
  return sealed(signed, signersOf("snapshot", ring));
}

/** Which snapshot is the newest. */
export function timestampDocument(version: number, snapshot: Document, ring: Keyring, now: Date): Document {
  const signed = Timestamp.fromJSON({
    ...common("timestamp", "timestamp", version, now),
    meta: { "snapshot.json": metaOf(snapshot) },
  });
  return sealed(signed, signersOf("timestamp", ring));
}
