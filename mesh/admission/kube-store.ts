/** A webhook's Secret and its configurations in a cluster. */
import { z } from "zod";
import type { KubeClient } from "../source/kube/client.ts";
import { isStatus } from "../source/kube/error.ts";
import { RESOURCES } from "../source/kube/resource.ts";
import type { SecretText } from "./certificate.ts";
import type { CertificateStore, FoundConfiguration, FoundSecret } from "./keeper.ts";

/** Marks a Secret that control planes made: without it they write none. */
const KEPT = "hauberk.io/webhook-certificate";
/** By these cert-manager's injector is told to fill a bundle. */
const INJECTED = [
  "cert-manager.io/inject-ca-from",
  "cert-manager.io/inject-ca-from-secret",
  "cert-manager.io/inject-apiserver-ca",
];
const MANAGER = "hauberk-webhook-certificates";

const Secret = z.object({
  metadata: z.object({
    resourceVersion: z.string(),
    annotations: z.record(z.string(), z.string()).nullish(),
  }),
  data: z.record(z.string(), z.string()).nullish(),
});

const Configuration = z.object({
  metadata: z.object({
    resourceVersion: z.string(),
    annotations: z.record(z.string(), z.string()).nullish(),
  }),
  webhooks: z.array(z.object({ clientConfig: z.object({ caBundle: z.string().nullish() }) })).nullish(),
});

/** A webhook configuration by kind and name. */
export interface ConfigurationRef {
  readonly kind: "mutating" | "validating";
  readonly name: string;
}

/** What belongs to one webhook. */
export interface KubeStoreOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly secret: string;
  readonly configurations: readonly ConfigurationRef[];
}

const encoded = (text: string): string => Buffer.from(text).toString("base64");
const decoded = (text: string): string => Buffer.from(text, "base64").toString("utf8");

/** The store over a cluster's API. It needs `get` on both kinds of object, `create` and `update` on Secrets, `patch` on configurations. */
export function kubeStore({ client, namespace, secret, configurations }: KubeStoreOptions): CertificateStore {
  const ref = { type: RESOURCES.secrets, namespace, name: secret };
  return {
    secret: async (signal) => readSecret(await client.find(ref, signal)),
    writeSecret: async (text, version, signal) => {
      const object = secretObject(text, { namespace, name: secret, version });
      return won(() =>
        version === undefined
          ? client.create({ type: ref.type, namespace }, object, { signal, fieldManager: MANAGER })
          : client.replace(ref, object, { signal, fieldManager: MANAGER }),
      );
    },
    configurations: async (signal) => {
      const found: FoundConfiguration[] = [];
      for (const { kind, name } of configurations) {
        const object = await client.find({ type: typeOf(kind), name }, signal);
        if (object !== undefined) found.push(readConfiguration(kind, name, object));
      }
      return found;
    },
    writeBundle: async ({ name, version, bundles }, bundle, signal) => {
      const [kind = "mutating", bare = name] = split(name);
      const body = [
        { op: "test", path: "/metadata/resourceVersion", value: version },
        ...bundles.map((_bundle, index) => ({
          op: "add",
          path: `/webhooks/${index}/clientConfig/caBundle`,
          value: encoded(bundle),
        })),
      ];
      return won(() =>
        client.patch(
          { type: typeOf(kind), name: bare },
          { type: "json", body },
          { signal, fieldManager: MANAGER },
        ),
      );
    },
  };
}

function typeOf(kind: ConfigurationRef["kind"]) {
  return kind === "mutating" ? RESOURCES.mutatingWebhooks : RESOURCES.validatingWebhooks;
}

function readSecret(object: unknown): FoundSecret {
  if (object === undefined) return { found: { type: "absent" }, version: undefined };
  const { metadata, data } = Secret.parse(object);
  const text = Object.fromEntries(Object.entries(data ?? {}).map(([key, value]) => [key, decoded(value)]));
  const type = metadata.annotations?.[KEPT] === undefined ? "foreign" : "ours";
  return { found: { type, text }, version: metadata.resourceVersion };
}

function secretObject(
  text: SecretText,
  {
    namespace,
    name,
    version,
  }: { readonly namespace: string; readonly name: string; readonly version: string | undefined },
): unknown {
  return {
    apiVersion: "v1",
    kind: "Secret",
    type: "kubernetes.io/tls",
    metadata: {
      name,
      namespace,
      labels: { "linkerd.io/control-plane-ns": namespace },
      annotations: {
        [KEPT]: "kept",
        "linkerd.io/created-by": "hauberk/control-plane",
      },
      ...(version === undefined ? {} : { resourceVersion: version }),
    },
    data: Object.fromEntries(Object.entries(text).map(([key, value]) => [key, encoded(value)])),
  };
}

function readConfiguration(
  kind: ConfigurationRef["kind"],
  name: string,
  object: unknown,
): FoundConfiguration {
  const { metadata, webhooks } = Configuration.parse(object);
  const annotations = metadata.annotations ?? {};
  return {
    name: `${kind}/${name}`,
    version: metadata.resourceVersion,
    isKeptElsewhere: INJECTED.some((annotation) => annotations[annotation] !== undefined),
    bundles: (webhooks ?? []).map(({ clientConfig }) => decoded(clientConfig.caBundle ?? "")),
  };
}

function split(name: string): readonly [ConfigurationRef["kind"], string] | readonly [] {
  const [kind, bare] = name.split("/", 2);
  return (kind === "mutating" || kind === "validating") && bare !== undefined ? [kind, bare] : [];
}

/** Whether a write was made; false where somebody else had written in between. */
async function won(write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write();
    return true;
  } catch (error) {
    // 422: the version that a JSON patch tests is another.
    if (isStatus(error, 409) || isStatus(error, 422)) return false;
    throw error;
  }
}
