/** Trust in the destination role: the bundle pushed to proxies as a cluster has it, and their proofs written down. */
import { readCertificatesPem } from "@hauberk/crypto/certificate.ts";
import type { Methods } from "../api/methods.ts";
import { bundleOf } from "../identity/trust-driver.ts";
import { trustMethods, type TrustGauges, type TrustInForce } from "../identity/trust-grpc.ts";
import {
  isStaleReports,
  TRUST_RECORD,
  TRUST_REPORTS,
  TRUST_ROOTS,
  writeReports,
} from "../identity/trust-objects.ts";
import { readRecord } from "../identity/trust-record.ts";
import { SPREAD_MS } from "../identity/trust-rotation.ts";
import type { MeshSettings } from "../model/settings.ts";
import type { KubeClient } from "../source/kube/client.ts";
import { isStatus } from "../source/kube/error.ts";
import { RESOURCES } from "../source/kube/resource.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { Latest } from "../state/subscribe.ts";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { dataOf, watchObject } from "./cluster_issuer.ts";
import type { Log } from "./log.ts";
import type { Family } from "./metrics.ts";
import { trustFamilies } from "./trust_families.ts";

/** How often proofs are written down: while a rotation is under way, and otherwise. */
const WRITE_BUSY_MS = 3_000;
const WRITE_IDLE_MS = 30_000;
/** Written at least so often, so that a replica that is no more can be told from one that has nothing new. */
const WRITE_MS_MAX = 300_000;

const FIELD_MANAGER = "hauberk-destination";

const Data = z.object({ data: z.record(z.string(), z.string()).nullish() });

/** What it is started with. */
export interface ClusterTrustOptions {
  readonly client: KubeClient;
  readonly holder: string;
  readonly snapshots: Latest<Snapshot>;
  readonly settings: MeshSettings;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Trust that is pushed. */
export interface ClusterTrust {
  readonly families: () => readonly Family[];
  readonly done: Promise<void>;
}

/** Serves the trust service on `methods` from when the bundle was read first: until then it is unknown here. */
export function followTrust(methods: Methods, options: ClusterTrustOptions): ClusterTrust {
  const { client, settings, snapshots, log, signal } = options;
  const namespace = settings.controlPlaneNamespace;
  const object = (name: string) =>
    watchObject(client, { type: RESOURCES.configMaps, namespace, name }, { log, signal });
  const [roots, record] = [object(TRUST_ROOTS.name), object(TRUST_RECORD.name)];
  let served: { readonly inForce: Latest<TrustInForce>; readonly gauges: TrustGauges } | undefined;
  let refusal = "";
  // An object that is not there changes nothing when it is read: until both were, they are looked at.
  const first = setInterval(() => judge(), 1_000);
  const judge = (): void => {
    if (!roots.isRead() || !record.isRead()) return;
    clearInterval(first);
    const next = inForceOf(roots.value.value, record.value.value);
    if (typeof next === "string") {
      if (next !== refusal) log("error", "trust roots refused, those before stay in force", { reason: next });
      refusal = next;
      return;
    }
    refusal = "";
    if (served !== undefined) {
      served.inForce.set(next);
      return;
    }
    const inForce = new Latest(next);
    const gauges = trustMethods(methods, {
      inForce,
      snapshots,
      domain: settings,
      nowMs: Date.now,
      spreadMs: SPREAD_MS,
      refused: (workload, reason) => log("warn", "trust report refused", { workload, reason }),
    });
    served = { inForce, gauges };
    log("info", "trust roots", { sha256: next.bundle.digest });
  };
  for (const { value } of [roots, record]) value.listen(judge);
  signal.addEventListener("abort", () => clearInterval(first), { once: true });
  const write = async (): Promise<void> => {
    let written = { text: "", atMs: 0 };
    while (!signal.aborted) {
      await sleep(WRITE_BUSY_MS, undefined, { signal }).catch(() => undefined);
      if (signal.aborted || served === undefined) continue;
      const nowMs = Date.now();
      if (!isRotating(record.value.value) && nowMs - written.atMs < WRITE_IDLE_MS) continue;
      const text = writeReports(served.gauges.reports(), 0);
      if (text === written.text && nowMs - written.atMs < WRITE_MS_MAX) continue;
      try {
        await publish(options, writeReports(served.gauges.reports(), nowMs));
        written = { text, atMs: nowMs };
      } catch (error) {
        log("warn", "trust reports are not written down", { reason: String(error) });
      }
    }
  };
  return {
    families: () =>
      served === undefined
        ? []
        : trustFamilies({ inForce: served.inForce.value, gauges: served.gauges, issuer: undefined }),
    done: Promise.all([roots.done, record.done, write()]).then(() => undefined),
  };
}

function inForceOf(roots: unknown, record: unknown): TrustInForce | string {
  const pem = dataOf(roots, TRUST_ROOTS.key);
  if (pem === undefined) return `ConfigMap ${TRUST_ROOTS.name}: data["${TRUST_ROOTS.key}"] is missing`;
  try {
    const bundle = bundleOf(pem);
    if (bundle.anchors.length === 0) return `ConfigMap ${TRUST_ROOTS.name}: holds no certificate`;
    const issuer = dataOf(record, TRUST_RECORD.issuer);
    return { bundle, issuer: issuer === undefined ? undefined : readCertificatesPem(issuer)[0]?.fingerprint };
  } catch (error) {
    return `ConfigMap ${TRUST_ROOTS.name}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function isRotating(record: unknown): boolean {
  const text = dataOf(record, TRUST_RECORD.record);
  try {
    return text !== undefined && readRecord(text).rotation.phase !== "steady";
  } catch {
    return false;
  }
}

/** Writes this replica's key, and takes away those of replicas that are no more. */
async function publish(
  { client, holder, settings, signal }: ClusterTrustOptions,
  text: string,
): Promise<void> {
  const namespace = settings.controlPlaneNamespace;
  const ref = { type: RESOURCES.configMaps, namespace, name: TRUST_REPORTS };
  const key = holder.replaceAll(/[^\w.-]/g, "_");
  const known = await client.find(ref, signal);
  if (known === undefined) {
    try {
      await client.create(
        ref,
        { metadata: { name: TRUST_REPORTS, namespace }, data: { [key]: text } },
        { signal },
      );
      return;
    } catch (error) {
      if (!isStatus(error, 409)) throw error;
    }
  }
  const others = Object.entries(Data.parse(known ?? {}).data ?? {}).filter(([name]) => name !== key);
  const gone = others.filter(([, other]) => isStaleReports(other, Date.now())).map(([name]) => [name, null]);
  const data: Record<string, unknown> = { ...Object.fromEntries(gone), [key]: text };
  await client.patch(ref, { type: "merge", body: { data } }, { fieldManager: FIELD_MANAGER, signal });
}
