/** Where a cluster keeps the record of what was done to it: an immutable ConfigMap per entry, and the head apart. */
import { createPrivateKey } from "node:crypto";
import { generateKeyPair, publicKeyOf, type KeyPair } from "@hauberk/crypto/algorithms.ts";
import { isDigest } from "@hauberk/crypto/digest.ts";
import { KubeError } from "@hauberk/mesh/source/kube/error.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import type { KubeObject } from "@hauberk/mesh/source/kube/object.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import {
  append,
  digestOf,
  type Act,
  type AuditKeys,
  type AuditSigner,
  type Entry,
  type Head,
} from "@hauberk/release/audit/record.ts";
import { z } from "zod";
import { keysAsPem } from "./keys.ts";

const HEAD = "hauberk-audit-head";
const KEY_SECRET = "hauberk-audit-key";
const KEY_MAP = "hauberk-audit-keys";
const LABEL = "hauberk.io/audit";
/** Server-side apply is told the type with each object. */
const CONFIG_MAP = { apiVersion: "v1", kind: "ConfigMap" } as const;
const FIELD_MANAGER = "hauberk-audit";
/** Wide enough that names sort as numbers do. */
const SEQUENCE_DIGITS = 8;
/** How often an entry is made anew because another operator's came first. */
const RACES_MAX = 5;

const nameOf = (sequence: number) => `hauberk-audit-${String(sequence).padStart(SEQUENCE_DIGITS, "0")}`;

/** A record as it is stored. */
export interface Stored {
  readonly entries: readonly Entry[];
  readonly head: Head | undefined;
}

const HeadMap = z.object({
  data: z.object({
    sequence: z
      .string()
      .regex(/^[1-9]\d*$/)
      .transform(Number),
    digest: z.custom<Head["digest"]>((value) => typeof value === "string" && isDigest(value), "no digest"),
  }),
});
const EntryMap = z.object({
  metadata: z.object({ name: z.string() }),
  data: z.object({ entry: z.string() }),
});
const KeySecret = z.object({ data: z.object({ classical: z.string(), "post-quantum": z.string() }) });

function pairOf(base64: string): KeyPair {
  const privateKey = createPrivateKey(Buffer.from(base64, "base64"));
  return { privateKey, publicKey: publicKeyOf(privateKey) };
}

function privatePem({ privateKey }: KeyPair): string {
  return Buffer.from(privateKey.export({ type: "pkcs8", format: "pem" })).toString("base64");
}

function readSigner(secret: KubeObject): AuditSigner {
  const { data } = KeySecret.parse(secret);
  return { classical: pairOf(data.classical), postQuantum: pairOf(data["post-quantum"]) };
}

const publicOf = ({ classical, postQuantum }: AuditSigner): AuditKeys => ({
  classical: classical.publicKey,
  postQuantum: postQuantum.publicKey,
});

function isConflict(error: unknown): boolean {
  return error instanceof KubeError && error.status === 409;
}

/** The record of one cluster. */
export class AuditStore {
  readonly #client: KubeClient;
  readonly #namespace: string;

  constructor(client: KubeClient, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
  }

  #ref(type: (typeof RESOURCES)["configMaps" | "secrets"], name: string) {
    return { type, namespace: this.#namespace, name };
  }

  /** Everything that is stored; nothing of it is proven yet. */
  async load(): Promise<Stored> {
    const head = await this.#head();
    const maps = await this.#client.list(
      { type: RESOURCES.configMaps, namespace: this.#namespace },
      { labelSelector: `${LABEL}=entry` },
    );
    const entries = maps
      .map((map) => EntryMap.parse(map))
      .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
      .map(({ data }) => data.entry);
    return { entries, head };
  }

  /**
   * The public keys that the cluster says are the record's. Whoever may write Secrets here could replace them together with
   * every entry: keep a copy elsewhere, and verify against that.
   */
  async keys(): Promise<AuditKeys | undefined> {
    const secret = await this.#client.find(this.#ref(RESOURCES.secrets, KEY_SECRET));
    return secret === undefined ? undefined : publicOf(readSigner(secret));
  }

  async #signer(): Promise<AuditSigner> {
    const ref = this.#ref(RESOURCES.secrets, KEY_SECRET);
    const found = await this.#client.find(ref);
    if (found !== undefined) return readSigner(found);
    const signer = {
      classical: generateKeyPair("ecdsa-p256-sha256"),
      postQuantum: generateKeyPair("ml-dsa-87"),
    };
    try {
      await this.#client.create(ref, {
        metadata: { name: KEY_SECRET, labels: { [LABEL]: "key" } },
        immutable: true,
        type: "hauberk.io/audit-key",
        data: { classical: privatePem(signer.classical), "post-quantum": privatePem(signer.postQuantum) },
      });
    } catch (error) {
      if (isConflict(error)) return readSigner(await this.#client.get(ref));
      throw error;
    }
    await this.#client.apply(
      this.#ref(RESOURCES.configMaps, KEY_MAP),
      { ...CONFIG_MAP, metadata: { labels: { [LABEL]: "keys" } }, data: keysAsPem(publicOf(signer)) },
      { fieldManager: FIELD_MANAGER },
    );
    return signer;
  }

  async #head(): Promise<Head | undefined> {
    const found = await this.#client.find(this.#ref(RESOURCES.configMaps, HEAD));
    return found === undefined ? undefined : HeadMap.parse(found).data;
  }

  async #moveHead(head: Head): Promise<void> {
    await this.#client.apply(
      this.#ref(RESOURCES.configMaps, HEAD),
      {
        ...CONFIG_MAP,
        metadata: { labels: { [LABEL]: "head" } },
        data: { sequence: String(head.sequence), digest: head.digest },
      },
      { fieldManager: FIELD_MANAGER },
    );
  }

  /** Whether the entry was written; not if there is one of this number already. */
  async #create(sequence: number, entry: Entry): Promise<boolean> {
    const metadata = { name: nameOf(sequence), labels: { [LABEL]: "entry" } };
    try {
      await this.#client.create(this.#ref(RESOURCES.configMaps, metadata.name), {
        metadata,
        immutable: true,
        data: { entry },
      });
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      throw error;
    }
  }

  /**
   * Writes one entry. Two operators at once get two entries, one after the other: an entry's name is its number, and the
   * API server creates a name once. A head that somebody was cut off from moving is moved first. @throws {@link KubeError}
   */
  async append(what: { readonly actor: string; readonly act: Act; readonly at: Date }): Promise<Head> {
    const signer = await this.#signer();
    for (let races = 0; races <= RACES_MAX; races += 1) {
      const before = await this.#head();
      const { entry, head } = append(before, what, signer);
      if (await this.#create(head.sequence, entry)) {
        await this.#moveHead(head);
        return head;
      }
      const first = await this.#client.get(this.#ref(RESOURCES.configMaps, nameOf(head.sequence)));
      await this.#moveHead({ ...head, digest: digestOf(EntryMap.parse(first).data.entry) });
    }
    throw new Error(`the audit record could not be written: ${RACES_MAX + 1} others came first`);
  }
}
