/** The identity role: issuer files, the key of join tokens, and which pods tokens may speak for. */
import { createPublicKey } from "node:crypto";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { readPublicKey } from "@hauberk/crypto/algorithms.ts";
import { sha256 } from "@hauberk/crypto/digest.ts";
import type { Methods } from "../api/methods.ts";
import { identityMethods, type IdentityCounts } from "../identity/grpc.ts";
import { IssuerFiles, type IssuerPaths } from "../identity/issuer-files.ts";
import { explainIssuer } from "../identity/issuer.ts";
import { verifyJoinToken, type JoinTrust } from "../identity/token.ts";
import type { BoundPod } from "../identity/verified.ts";
import { keyOf } from "../model/meta.ts";
import type { MeshSettings } from "../model/settings.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { Latest } from "../state/subscribe.ts";
import type { ControllerConfig } from "./config.ts";
import type { Log } from "./log.ts";

/** How issuers are laid out: our own names, Secrets of type linkerd.io/tls, Secrets of type kubernetes.io/tls. */
const LAYOUTS = [
  { certificates: "issuer.crt", privateKey: "issuer.key", anchors: "ca.crt" },
  { certificates: "crt.pem", privateKey: "key.pem", anchors: "ca-bundle.crt" },
  { certificates: "tls.crt", privateKey: "tls.key", anchors: "ca.crt" },
] as const;

/** The files of the issuer in a directory. */
export async function findIssuer(dir: string): Promise<IssuerPaths> {
  for (const { certificates, privateKey, anchors } of LAYOUTS) {
    const paths = {
      certificates: join(dir, certificates),
      privateKey: join(dir, privateKey),
      anchors: join(dir, anchors),
    };
    try {
      await access(paths.certificates);
      return paths;
    } catch {
      // Another layout, then; a file that exists and cannot be read is reported when it is read.
    }
  }
  const names = LAYOUTS.map(({ certificates }) => certificates).join(", ");
  throw new Error(`${dir}: holds none of ${names}`);
}

/**
 * The public half of the key that signs join tokens. A private key is taken too: its public half is used.
 *
 * @internal
 */
export function joinTrustOf(pem: string): JoinTrust {
  const publicKey = createPublicKey(pem);
  const { algorithm: kind, spki } = readPublicKey(
    new Uint8Array(publicKey.export({ format: "der", type: "spki" })),
  );
  const algorithm =
    kind.name === "ed25519" ? "EdDSA" : kind.name === "ecdsa-p256-sha256" ? "ES256" : undefined;
  if (algorithm === undefined) throw new Error(`a key of kind ${kind.name} does not sign join tokens`);
  return { id: Buffer.from(sha256(spki)).toString("base64url"), algorithm, publicKey };
}

/** Whether the pod runs here now; one that is finished gets no more certificates, one that drains still does. */
function isBound(snapshot: Snapshot, pod: BoundPod): boolean {
  const known = snapshot.Pod.get(keyOf(pod));
  return (
    known !== undefined &&
    !known.isFinished &&
    known.meta.uid === pod.uid &&
    known.serviceAccount === pod.serviceAccount
  );
}

export interface IdentityRole {
  readonly counts: IdentityCounts;
  /** Ends when the signal aborts. */
  readonly done: Promise<void>;
}

/** Adds the identity service to `methods`, and follows the issuer's files. */
export async function startIdentity(
  methods: Methods,
  { issuerDir, joinTokenKey }: NonNullable<ControllerConfig["identity"]>,
  {
    snapshots,
    settings,
    log,
    signal,
  }: {
    readonly snapshots: Latest<Snapshot>;
    readonly settings: MeshSettings;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<IdentityRole> {
  const files = await IssuerFiles.open(await findIssuer(issuerDir), Date.now());
  const keys = [joinTrustOf(await readFile(joinTokenKey, "utf8"))];
  const verifier = { keys, domain: settings, isBound: (pod: BoundPod) => isBound(snapshots.value, pod) };
  const counts = identityMethods(methods, {
    issuer: () => files.issuer,
    verify: (token, nowMs) => verifyJoinToken(token, verifier, nowMs),
    heard: (outcome) => {
      switch (outcome.type) {
        case "issued":
          log("info", "certificate issued", {
            identity: outcome.workload.identity.dnsName,
            pod: keyOf(outcome.workload.pod),
            notAfter: new Date(outcome.issued.leaf.notAfterMs).toISOString(),
          });
          return;
        case "refused":
          log("warn", "certificate request refused", { reason: outcome.reason, detail: outcome.message });
          return;
      }
    },
  });
  const done = files.follow(signal, (reloaded) => {
    if (reloaded.type === "replaced") log("info", "issuer replaced");
    if (reloaded.type === "kept" && reloaded.isNew) {
      log("error", "issuer files are wrong, the issuer before stays in use", {
        reason: explainIssuer(reloaded.refusal),
      });
    }
  });
  return { counts, done };
}
