/** Trust in a cluster's objects: read, written, and asked for, so that any replica can go on where another stopped. */
import { z } from "zod";
import { readIssuerSecret, writeIssuerData } from "../identity/issuer-secret.ts";
import { bundleOf, issuerOf, type TrustStore, type TrustWorld } from "../identity/trust-driver.ts";
import {
  ISSUER_SECRET,
  readReports,
  TRUST_RECORD,
  TRUST_REPORTS,
  TRUST_REQUEST,
  TRUST_ROOTS,
} from "../identity/trust-objects.ts";
import {
  NOTHING_RECORDED,
  readRecord,
  readRequest,
  writeRecord,
  writeRequest,
  type RotationRequest,
} from "../identity/trust-record.ts";
import type { Act, LiveProxy } from "../identity/trust-rotation.ts";
import { sha256 } from "@hauberk/crypto/digest.ts";
import { CONTROL_PLANE_NS_LABEL } from "../model/workload.ts";
import { METADATA_ONLY, type KubeClient } from "../source/kube/client.ts";
import { isStatus } from "../source/kube/error.ts";
import type { KubeObject } from "../source/kube/object.ts";
import { RESOURCES, type ObjectRef } from "../source/kube/resource.ts";
import { dataOf } from "./cluster_issuer.ts";

/** Who writes fields of ours. */
const FIELD_MANAGER = "hauberk-identity";

/** The text of the bundle that a pod was injected with, by its digest. */
const TRUST_ROOT_ANNOTATION = "linkerd.io/trust-root-sha256";

/** Pods with a proxy that runs: they have an address, and are not finished. */
const RUNNING = "status.podIP!=,status.phase!=Succeeded,status.phase!=Failed";

const Encoded = z.object({ data: z.record(z.string(), z.string()).nullish() });

/** What the store is made of. */
export interface TrustStoreOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** The roots' ConfigMap is somebody else's, such as trust-manager's. */
  readonly hasExternalRoots: boolean;
}

/** The store of a cluster. */
export function trustCluster(options: TrustStoreOptions): TrustStore {
  const { client, namespace } = options;
  const configMap = (name: string): ObjectRef => ({ type: RESOURCES.configMaps, namespace, name });
  const secret = (name: string): ObjectRef => ({ type: RESOURCES.secrets, namespace, name });
  return {
    read: (signal) => readWorld(options, signal),
    save: async (record, version, signal) => {
      const ref = configMap(TRUST_RECORD.name);
      const data = { [TRUST_RECORD.record]: writeRecord(record) };
      try {
        if (version === "") {
          await client.create(ref, { metadata: { name: ref.name, namespace }, data }, { signal });
        } else {
          const body = { metadata: { resourceVersion: version }, data };
          await client.patch(ref, { type: "merge", body }, { fieldManager: FIELD_MANAGER, signal });
        }
        return true;
      } catch (error) {
        if (isStatus(error, 409)) return false;
        throw error;
      }
    },
    carryOut: async (act, world, signal) => {
      const written = (ref: ObjectRef, data: Readonly<Record<string, string>>) =>
        client.patch(ref, { type: "merge", body: { data } }, { fieldManager: FIELD_MANAGER, signal });
      await carryOut(act, {
        bundle: (pem) => written(configMap(TRUST_ROOTS.name), { [TRUST_ROOTS.key]: pem }),
        issuer: async () => {
          const { request } = world;
          if (request?.issuer === undefined) throw new Error("the request holds no issuer");
          const issuer = { ...request.issuer, anchors: request.root };
          return written(secret(ISSUER_SECRET), writeIssuerData("linkerd.io/tls", issuer));
        },
        forget: () => client.delete(secret(TRUST_REQUEST.name), { signal }),
      });
    },
    ask: (request, signal) => askInCluster(client, namespace, request, signal),
  };
}

async function carryOut(
  act: Act,
  write: {
    readonly bundle: (pem: string) => Promise<unknown>;
    readonly issuer: () => Promise<unknown>;
    readonly forget: () => Promise<unknown>;
  },
): Promise<void> {
  switch (act.type) {
    case "write_bundle":
      await write.bundle(act.bundle.pem);
      return;
    case "switch_issuer":
      await write.issuer();
      return;
    case "forget_next":
      try {
        await write.forget();
      } catch (error) {
        if (!isStatus(error, 404)) throw error;
      }
  }
}

/** Creates the request's Secret; `false`: there is one. */
async function askInCluster(
  client: KubeClient,
  namespace: string,
  request: RotationRequest,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await client.create(
      { type: RESOURCES.secrets, namespace },
      {
        metadata: { name: TRUST_REQUEST.name, namespace },
        type: "Opaque",
        data: { [TRUST_REQUEST.key]: Buffer.from(writeRequest(request)).toString("base64") },
      },
      { fieldManager: FIELD_MANAGER, signal },
    );
    return true;
  } catch (error) {
    if (isStatus(error, 409)) return false;
    throw error;
  }
}

async function readWorld(
  { client, namespace, hasExternalRoots }: TrustStoreOptions,
  signal: AbortSignal,
): Promise<TrustWorld> {
  const find = (type: ObjectRef["type"], name: string) => client.find({ type, namespace, name }, signal);
  const [roots, secret, recorded, asked, reports, pods] = await Promise.all([
    find(RESOURCES.configMaps, TRUST_ROOTS.name),
    find(RESOURCES.secrets, ISSUER_SECRET),
    find(RESOURCES.configMaps, TRUST_RECORD.name),
    find(RESOURCES.secrets, TRUST_REQUEST.name),
    find(RESOURCES.configMaps, TRUST_REPORTS),
    client.list(
      { type: RESOURCES.pods },
      {
        labelSelector: `${CONTROL_PLANE_NS_LABEL}=${namespace}`,
        fieldSelector: RUNNING,
        accept: METADATA_ONLY.list,
        signal,
      },
    ),
  ]);
  const pem = dataOf(roots, TRUST_ROOTS.key);
  if (pem === undefined)
    throw new Error(`ConfigMap ${TRUST_ROOTS.name}: data["${TRUST_ROOTS.key}"] is missing`);
  const issuer = readIssuerSecret(secret);
  if (!issuer.ok) throw new Error(`Secret ${ISSUER_SECRET}: ${issuer.detail}`);
  const bundle = bundleOf(pem);
  const record = dataOf(recorded, TRUST_RECORD.record);
  return {
    record: record === undefined ? NOTHING_RECORDED : readRecord(record),
    version: recorded?.metadata.resourceVersion ?? "",
    request: requestIn(asked),
    bundle,
    ...issuerOf(issuer.values.certificates, bundle),
    proxies: liveProxies(pods, { pem, digest: bundle.digest, reports }),
    hasExternalRoots,
    hasExternalIssuer: issuer.values.scheme === "kubernetes.io/tls",
  };
}

/** The request in its Secret. One that cannot be read is an error that names the field. */
function requestIn(secret: KubeObject | undefined): RotationRequest | undefined {
  const text = Encoded.parse(secret ?? {}).data?.[TRUST_REQUEST.key];
  return text === undefined ? undefined : readRequest(Buffer.from(text, "base64").toString("utf8"));
}

function liveProxies(
  pods: readonly KubeObject[],
  { pem, digest, reports }: { readonly pem: string; readonly digest: string; readonly reports: unknown },
): readonly LiveProxy[] {
  const texts = Object.values(
    z.object({ data: z.record(z.string(), z.string()).nullish() }).parse(reports ?? {}).data ?? {},
  );
  const proven = readReports(texts);
  const now = Buffer.from(sha256(Buffer.from(pem, "utf8"))).toString("hex");
  return pods.map(({ metadata }) => ({
    name: `${metadata.namespace ?? ""}/${metadata.name}`,
    proven: proven.get(metadata.uid ?? ""),
    startedWith: metadata.annotations?.[TRUST_ROOT_ANNOTATION] === now ? digest : undefined,
  }));
}
