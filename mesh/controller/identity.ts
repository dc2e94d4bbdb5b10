/** The identity role: issuer files, the key of join tokens, and which pods tokens may speak for. */
import { createPublicKey } from "node:crypto";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { readPublicKey } from "@hauberk/crypto/algorithms.ts";
import { sha256 } from "@hauberk/crypto/digest.ts";
import type { Methods } from "../api/methods.ts";
import { identityMethods, type IdentityCounts, type Outcome } from "../identity/grpc.ts";
import { IssuerFiles, type IssuerPaths } from "../identity/issuer-files.ts";
import type { Offered } from "../identity/issuer-in-force.ts";
import { explainIssuer, type Issuer } from "../identity/issuer.ts";
import { recoverIssuer } from "../identity/trust-directory.ts";
import { verifyJoinToken, type JoinTrust } from "../identity/token.ts";
import type { BoundPod } from "../identity/verified.ts";
import { keyOf } from "../model/meta.ts";
import type { MeshSettings } from "../model/settings.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { Latest } from "../state/subscribe.ts";
import type { IdentityConfig } from "./config.ts";
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
  /** The issuer in force, and its files. */
  readonly issuer: FollowedIssuer;
  /** Ends when the signal aborts. */
  readonly done: Promise<void>;
}

/** An issuer in files that are followed. */
export interface FollowedIssuer {
  readonly files: IssuerFiles;
  /** The issuer in force: changes when another was accepted. */
  readonly inForce: Latest<Issuer>;
  /** Looks at the files now. */
  readonly reload: () => Promise<void>;
}

/** Opens the issuer in a directory, as far as an interruption has left it whole. */
async function followIssuer(
  dir: string,
  log: Log,
): Promise<FollowedIssuer & { heard: (offered: Offered) => void }> {
  const paths = await findIssuer(dir);
  await recoverIssuer(paths);
  const files = await IssuerFiles.open(paths, Date.now());
  const inForce = new Latest(files.issuer);
  const heard = (offered: Offered): void => {
    switch (offered.type) {
      case "unchanged":
        return;
      case "replaced":
        inForce.set(offered.issuer);
        log("info", "issuer replaced", { issuer: offered.issuer.authority.certificate.fingerprint });
        return;
      case "kept":
        if (!offered.isNew) return;
        log("error", "issuer files are wrong, the issuer before stays in use", {
          reason: explainIssuer(offered.refusal),
        });
    }
  };
  return { files, inForce, heard, reload: async () => heard(await files.reload(Date.now())) };
}

/** Adds the identity service to `methods`, and follows the issuer's files. */
export async function startIdentity(
  methods: Methods,
  { issuerDir, joinTokenKey, leafLifeMs }: IdentityConfig,
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
  const issuer = await followIssuer(issuerDir, log);
  const keys = [joinTrustOf(await readFile(joinTokenKey, "utf8"))];
  const verifier = { keys, domain: settings, isBound: (pod: BoundPod) => isBound(snapshots.value, pod) };
  const counts = identityMethods(methods, {
    issuer: () => issuer.inForce.value,
    verify: (token, nowMs) => verifyJoinToken(token, verifier, nowMs),
    lifeMs: leafLifeMs,
    heard: (outcome) => logOutcome(outcome, log),
  });
  return { counts, issuer, done: issuer.files.follow(signal, issuer.heard) };
}

/** One line for each answered request. */
export function logOutcome(outcome: Outcome, log: Log): void {
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
}
