/**
 * The record of what was done to a cluster: entries that name the one before by its digest, each signed. Whoever removes,
 * alters, reorders or inserts one breaks the chain from there on; whoever removes the last ones contradicts the head that
 * is kept apart. Pure.
 */
import { isSealedBy, seal, type Envelope } from "@hauberk/crypto/dsse.ts";
import type { KeyPair, PublicKey } from "@hauberk/crypto/algorithms.ts";
import { digest, type Digest } from "@hauberk/crypto/digest.ts";
import { z } from "zod";

/** Payload type of an entry's envelope. */
export const AUDIT_ENTRY = "application/vnd.hauberk.audit-entry.v1+json";

const Sha256 = z.string().regex(/^sha256:[0-9a-f]{64}$/);

/** What was done, or tried and refused. */
export const Act = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("install"), to: z.string() }),
  z.strictObject({
    kind: z.literal("upgrade"),
    from: z.string(),
    to: z.string(),
    channel: z.string(),
    /** Digest of the release's description. */
    release: Sha256,
    /** Digest of the plan that the operator was shown. */
    plan: Sha256,
    /** Images by name, each by the digest that was verified. */
    images: z.record(z.string(), Sha256),
  }),
  z.strictObject({ kind: z.literal("rollback"), from: z.string(), to: z.string(), reason: z.string() }),
  z.strictObject({
    kind: z.literal("refused"),
    from: z.string(),
    to: z.string(),
    refusal: z.string(),
    detail: z.string(),
  }),
  z.strictObject({ kind: z.literal("trust-rotation"), step: z.string(), bundle: Sha256 }),
  z.strictObject({ kind: z.literal("uninstall"), from: z.string() }),
  z.strictObject({
    kind: z.literal("policy"),
    /** What policy rests on and is another than before: the object as it is now, as JSON; absent: it is gone. */
    changed: z.array(z.strictObject({ object: z.string(), manifest: z.string().optional() })).min(1),
  }),
]);
export type Act = z.infer<typeof Act>;

const Content = z.strictObject({
  /** From 1, without gaps. */
  sequence: z.int().positive(),
  /** Digest of the envelope before, as it is stored; absent in the first. */
  previous: Sha256.optional(),
  at: z.iso.datetime(),
  /** Who did it, as the API server knows them. */
  actor: z.string(),
  act: Act,
});
export type Content = z.infer<typeof Content>;

/** An entry as it is stored. */
export type Entry = string;

const Stored = z.strictObject({
  payloadType: z.literal(AUDIT_ENTRY),
  payload: z.string(),
  signatures: z.array(z.strictObject({ keyid: z.string(), sig: z.string() })).min(1),
});

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "base64"));

/** Digest of an entry as it is stored: what the next one names. */
export const digestOf = (entry: Entry): Digest => digest(Buffer.from(entry));

/** The newest entry, kept apart from the entries: without it, a chain that lost its end would look whole. */
export interface Head {
  readonly sequence: number;
  readonly digest: Digest;
}

/** Who signs entries: a classical key, and an ML-DSA-87 key whose signature is in the same envelope. */
export interface AuditSigner {
  readonly classical: KeyPair;
  readonly postQuantum: KeyPair;
}
export interface AuditKeys {
  readonly classical: PublicKey;
  readonly postQuantum: PublicKey;
}

function envelopeOf(stored: z.infer<typeof Stored>): Envelope {
  return {
    payloadType: stored.payloadType,
    payload: bytesOf(stored.payload),
    signatures: stored.signatures.map(({ keyid, sig }) => ({ keyId: keyid, signature: bytesOf(sig) })),
  };
}

/** The entry after `head`. */
export function append(
  head: Head | undefined,
  what: { readonly at: Date; readonly actor: string; readonly act: Act },
  signer: AuditSigner,
): { readonly entry: Entry; readonly head: Head } {
  const content: Content = {
    sequence: (head?.sequence ?? 0) + 1,
    ...(head === undefined ? {} : { previous: head.digest }),
    at: what.at.toISOString(),
    actor: what.actor,
    act: what.act,
  };
  const payload = new Uint8Array(Buffer.from(JSON.stringify(Content.parse(content))));
  const signatures = [signer.classical, signer.postQuantum].flatMap((key) =>
    seal(AUDIT_ENTRY, payload, key, key.publicKey.algorithm.name).signatures.map(({ keyId, signature }) => ({
      keyid: keyId,
      sig: base64(signature),
    })),
  );
  const entry = JSON.stringify({ payloadType: AUDIT_ENTRY, payload: base64(payload), signatures });
  return { entry, head: { sequence: content.sequence, digest: digestOf(entry) } };
}

/** What is wrong with a chain. The names are stable. */
export type ChainFault =
  | "entry-unreadable"
  | "signature-wrong"
  | "sequence-broken"
  | "link-broken"
  | "time-backwards"
  | "end-missing"
  | "head-unknown";

export type Chain =
  | { readonly ok: true; readonly contents: readonly Content[] }
  | { readonly ok: false; readonly fault: ChainFault; readonly sequence: number; readonly detail: string };

function readEntry(entry: Entry): { readonly envelope: Envelope; readonly content: Content } | undefined {
  try {
    const envelope = envelopeOf(Stored.parse(JSON.parse(entry)));
    return { envelope, content: Content.parse(JSON.parse(Buffer.from(envelope.payload).toString())) };
  } catch {
    return undefined;
  }
}

/** Checks a whole chain, oldest first, against the keys and the head that was kept apart. */
export function verifyChain(entries: readonly Entry[], head: Head | undefined, keys: AuditKeys): Chain {
  const contents: Content[] = [];
  let atHead: Digest | undefined;
  let before: { readonly content: Content; readonly digest: Digest } | undefined;
  for (const [index, entry] of entries.entries()) {
    const sequence = index + 1;
    const fault = (name: ChainFault, detail: string): Chain => ({ ok: false, fault: name, sequence, detail });
    const read = readEntry(entry);
    if (read === undefined) return fault("entry-unreadable", "it is no entry of an audit record");
    const { envelope, content } = read;
    for (const key of [keys.classical, keys.postQuantum]) {
      if (!isSealedBy(envelope, key))
        return fault("signature-wrong", `it is not signed by the record's ${key.algorithm.name} key`);
    }
    if (content.sequence !== sequence)
      return fault("sequence-broken", `it says that it is entry ${content.sequence}`);
    if (content.previous !== before?.digest)
      return fault("link-broken", "the entry before it is not the one that it names");
    if (before !== undefined && content.at < before.content.at)
      return fault("time-backwards", `${content.at} is before ${before.content.at}`);
    contents.push(content);
    before = { content, digest: digestOf(entry) };
    if (sequence === head?.sequence) atHead = before.digest;
  }
  const end = (fault: ChainFault, detail: string): Chain => ({
    ok: false,
    fault,
    sequence: entries.length,
    detail,
  });
  if (head === undefined) {
    if (before === undefined) return { ok: true, contents };
    return end("head-unknown", "no head is kept for a record that has entries");
  }
  if (head.sequence > entries.length)
    return end("end-missing", `entries up to ${head.sequence} were written, and ${entries.length} are there`);
  // Entries after the head are good: whoever wrote one may have been cut off before the head was moved.
  if (atHead !== head.digest)
    return end("head-unknown", `the head that is kept names entry ${head.sequence}, and it is another`);
  return { ok: true, contents };
}

/** Whether a record that is whole still begins with the entries that an earlier export of it had. */
export function continues(chain: Chain, kept: readonly Entry[], entries: readonly Entry[]): Chain {
  const at = kept.findIndex((entry, index) => entries[index] !== entry);
  if (!chain.ok || at < 0) return chain;
  const fault = entries[at] === undefined ? "end-missing" : "link-broken";
  const detail = "the earlier export has another entry here, or one more";
  return { ok: false, fault, sequence: at + 1, detail };
}

/** Objects that a line names. */
const SHOWN_MAX = 4;

/** One act in a line. */
export function describeAct(act: Act): string {
  switch (act.kind) {
    case "install":
      return `installed ${act.to}`;
    case "upgrade":
      return `upgraded ${act.from} → ${act.to} (${act.channel})`;
    case "rollback":
      return `rolled back ${act.from} → ${act.to}: ${act.reason}`;
    case "refused":
      return `refused ${act.from} → ${act.to}: ${act.refusal}: ${act.detail}`;
    case "trust-rotation":
      return `trust rotation: ${act.step}`;
    case "uninstall":
      return `uninstalled ${act.from}`;
    case "policy": {
      const names = act.changed.map(
        ({ object, manifest }) => `${manifest === undefined ? "-" : "+"}${object}`,
      );
      const more = names.length > SHOWN_MAX ? `, and ${names.length - SHOWN_MAX} more` : "";
      return `policy: ${names.slice(0, SHOWN_MAX).join(", ")}${more}`;
    }
  }
}
