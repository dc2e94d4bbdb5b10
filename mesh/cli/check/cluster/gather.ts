/** Asks a cluster for the facts. Never rejects: what cannot be learnt is a fact, too. */
import { readCertificatesPem, type Certificate } from "@hauberk/crypto/certificate.ts";
import { parseValuesFile } from "@hauberk/mesh/install/values/file.ts";
import { parseValues } from "@hauberk/mesh/install/values/values.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES, type ResourceType } from "@hauberk/mesh/source/kube/resource.ts";
import { z } from "zod";
import type { Learnt } from "../facts.ts";
import { learnAccess } from "./access.ts";
import type { ClusterFacts, Names, WebhookFact } from "./facts.ts";
import { daemonSetFact, namespaceFact, nodeFact, podFact, replicaSetFact, serviceFact } from "./read.ts";

export interface Asking {
  readonly namespace: string;
  readonly cniNamespace: string;
  readonly dataPlane: string | undefined;
  readonly cliVersion: string;
  readonly expectedVersion: string;
  /** Ask, too, what the user may do. */
  readonly asksAccess: boolean;
}

const CONTROL_PLANE = "linkerd.io/control-plane-ns";
const NO_ANSWERS: ReadonlyMap<string, boolean> = new Map();
const NODE_LEASES = "kube-node-lease";

const StringData = z.looseObject({ data: z.record(z.string(), z.string()).default({}) });
const Version = z.looseObject({ gitVersion: z.string() });
const Lease = z.looseObject({
  metadata: z.looseObject({ name: z.string() }),
  spec: z.looseObject({ renewTime: z.string() }),
});

export async function learn<T>(ask: () => Promise<T>): Promise<Learnt<T>> {
  try {
    return { ok: true, value: await ask() };
  } catch (error) {
    return { ok: false, why: error instanceof Error ? error.message : String(error) };
  }
}

/** Asks for everything at once. */
export async function gatherCluster(client: KubeClient, asking: Asking): Promise<ClusterFacts> {
  const { namespace, cniNamespace, dataPlane, asksAccess } = asking;
  const list = <T>(type: ResourceType, read: (object: unknown) => T, inNamespace?: string) =>
    learn(async () => (await client.list({ type, namespace: inNamespace })).map(read));
  const server = await learn(
    async () => Version.parse(JSON.parse((await client.raw("/version")).body)).gitVersion,
  );
  const [kinds, config, objects, cni, cniDaemons, replicaSets, pods, services, nodes, namespaces] =
    await Promise.all([
      learn(() => namesOf(client, RESOURCES.customResourceDefinitions)),
      learn(() => readConfig(client, namespace)),
      learn(() => clusterObjects(client, namespace)),
      learn(() => cniObjects(client, cniNamespace)),
      list(RESOURCES.daemonSets, daemonSetFact, cniNamespace),
      list(RESOURCES.replicaSets, replicaSetFact, namespace),
      list(RESOURCES.pods, podFact),
      list(RESOURCES.services, serviceFact),
      list(RESOURCES.nodes, nodeFact),
      list(RESOURCES.namespaces, namespaceFact),
    ]);
  const [anchors, issuer, webhooks, heartbeats, access] = await Promise.all([
    learn(() => readAnchors(client, namespace)),
    learn(() => readIssuer(client, namespace)),
    Promise.all(WEBHOOKS.map((webhook) => readWebhook(client, namespace, webhook))),
    list(RESOURCES.leases, readHeartbeat, NODE_LEASES),
    learn(() => (asksAccess ? learnAccess(client, namespace) : Promise.resolve(NO_ANSWERS))),
  ]);
  return {
    ...asking,
    dataPlane,
    nowMs: Date.now(),
    server,
    kinds,
    config,
    objects,
    cni,
    cniDaemon: daemonOf(cniDaemons),
    replicaSets,
    pods,
    services,
    nodes,
    namespaces,
    anchors,
    issuer,
    webhooks,
    heartbeats,
    access,
  };
}

function daemonOf<T extends { readonly name: string }>(all: Learnt<readonly T[]>): Learnt<T> {
  if (!all.ok) return all;
  const [daemon] = all.value.filter(({ name }) => name === "linkerd-cni");
  return daemon === undefined
    ? { ok: false, why: "there is no DaemonSet linkerd-cni" }
    : { ok: true, value: daemon };
}

async function namesOf(
  client: KubeClient,
  type: ResourceType,
  of: { readonly namespace?: string; readonly labelSelector?: string } = {},
): Promise<Names> {
  const found = await client.list({ type, namespace: of.namespace }, { labelSelector: of.labelSelector });
  return new Set(found.map(({ metadata }) => metadata.name));
}

async function byKind(
  client: KubeClient,
  types: Readonly<Record<string, readonly [type: ResourceType, namespace: string | undefined]>>,
  labelSelector?: string,
): Promise<ReadonlyMap<string, Names>> {
  const named = await Promise.all(
    Object.entries(types).map(
      async ([kind, [type, namespace]]) =>
        [
          kind,
          await namesOf(client, type, {
            ...(namespace === undefined ? {} : { namespace }),
            ...(labelSelector === undefined ? {} : { labelSelector }),
          }),
        ] as const,
    ),
  );
  return new Map(named);
}

function clusterObjects(client: KubeClient, namespace: string): Promise<ReadonlyMap<string, Names>> {
  return byKind(
    client,
    {
      ClusterRole: [RESOURCES.clusterRoles, undefined],
      ClusterRoleBinding: [RESOURCES.clusterRoleBindings, undefined],
      ServiceAccount: [RESOURCES.serviceAccounts, namespace],
      MutatingWebhookConfiguration: [RESOURCES.mutatingWebhooks, undefined],
      ValidatingWebhookConfiguration: [RESOURCES.validatingWebhooks, undefined],
    },
    `${CONTROL_PLANE}=${namespace}`,
  );
}

function cniObjects(client: KubeClient, namespace: string): Promise<ReadonlyMap<string, Names>> {
  return byKind(client, {
    ConfigMap: [RESOURCES.configMaps, namespace],
    ClusterRole: [RESOURCES.clusterRoles, undefined],
    ClusterRoleBinding: [RESOURCES.clusterRoleBindings, undefined],
    ServiceAccount: [RESOURCES.serviceAccounts, namespace],
    DaemonSet: [RESOURCES.daemonSets, namespace],
  });
}

async function textsOf(client: KubeClient, type: ResourceType, namespace: string, name: string) {
  return StringData.parse(await client.get({ type, namespace, name })).data;
}

async function readConfig(client: KubeClient, namespace: string) {
  const { values = "" } = await textsOf(client, RESOURCES.configMaps, namespace, "linkerd-config");
  return parseValues(parseValuesFile(values, "ConfigMap linkerd-config"));
}

export async function readAnchors(client: KubeClient, namespace: string): Promise<readonly Certificate[]> {
  const data = await textsOf(client, RESOURCES.configMaps, namespace, "linkerd-identity-trust-roots");
  return readCertificatesPem(data["ca-bundle.crt"] ?? "");
}

export async function readIssuer(client: KubeClient, namespace: string): Promise<readonly Certificate[]> {
  const data = await textsOf(client, RESOURCES.secrets, namespace, "linkerd-identity-issuer");
  const pem = data["crt.pem"] ?? data["tls.crt"];
  if (pem === undefined)
    throw new Error("the Secret linkerd-identity-issuer has neither crt.pem nor tls.crt");
  const found = readCertificatesPem(Buffer.from(pem, "base64").toString("utf8"));
  if (found.length === 0) throw new Error("the Secret linkerd-identity-issuer holds no certificate");
  return found;
}

const WEBHOOKS = [
  { name: "proxy-injector", type: RESOURCES.mutatingWebhooks },
  { name: "sp-validator", type: RESOURCES.validatingWebhooks },
  { name: "policy-validator", type: RESOURCES.validatingWebhooks },
] as const;

const Configuration = z.looseObject({
  webhooks: z
    .array(z.looseObject({ clientConfig: z.looseObject({ caBundle: z.string().optional() }) }))
    .default([]),
});

async function readWebhook(
  client: KubeClient,
  namespace: string,
  { name, type }: (typeof WEBHOOKS)[number],
): Promise<WebhookFact> {
  const serving = await learn(async () => {
    const data = await textsOf(client, RESOURCES.secrets, namespace, `linkerd-${name}-k8s-tls`);
    const [leaf] = readCertificatesPem(Buffer.from(data["tls.crt"] ?? "", "base64").toString("utf8"));
    if (leaf === undefined) throw new Error(`the Secret linkerd-${name}-k8s-tls holds no certificate`);
    return leaf;
  });
  const bundle = await learn(async () => {
    const object = await client.get({ type, name: `linkerd-${name}-webhook-config` });
    const [webhook] = Configuration.parse(object).webhooks;
    const pem = Buffer.from(webhook?.clientConfig.caBundle ?? "", "base64").toString("utf8");
    if (pem === "") throw new Error(`linkerd-${name}-webhook-config has no caBundle yet`);
    return readCertificatesPem(pem);
  });
  return { name, serving, bundle };
}

function readHeartbeat(object: unknown): { readonly node: string; readonly atMs: number } {
  const { metadata, spec } = Lease.parse(object);
  return { node: metadata.name, atMs: Date.parse(spec.renewTime) };
}
