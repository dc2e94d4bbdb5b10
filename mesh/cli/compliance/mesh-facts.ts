/** What a running mesh says of its workloads, policies, authorities and rotations. */
import { join } from "node:path";
import type { Certificate } from "@hauberk/crypto/certificate.ts";
import { writeCertificatesPem } from "@hauberk/crypto/certificate.ts";
import { commonNames } from "@hauberk/crypto/names.ts";
import type { Authority, Evidence, Guard, Workload } from "@hauberk/compliance/evidence/evidence.ts";
import type { InboundContext } from "@hauberk/mesh/policy/authz.ts";
import { authorizationsAt } from "@hauberk/mesh/policy/listing.ts";
import { portsAt } from "@hauberk/mesh/policy/question.ts";
import { describeGround, type Ground } from "@hauberk/mesh/policy/verdict.ts";
import { CONTROL_PLANE_NS_LABEL } from "@hauberk/mesh/model/workload.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import { verifyChain } from "@hauberk/release/audit/record.ts";
import { z } from "zod";
import { readExport } from "../audit/export.ts";
import { keysFromPem } from "../audit/keys.ts";
import { AuditStore } from "../audit/store.ts";
import { readAnchors, readIssuer } from "../check/cluster/gather.ts";
import { readAuthority } from "../check/gather.ts";
import { clusterHome } from "../trust/cluster-home.ts";
import { directoryHome } from "../trust/home.ts";
import type { Place } from "../world/command.ts";
import { meshedPods } from "../world/scrape.ts";
import { leafFacts } from "./look.ts";
import { learn } from "./learn.ts";

/** Namespaces whose pods are the cluster's own. */
const INFRASTRUCTURE = ["kube-system", "kube-public", "kube-node-lease"] as const;

/** What decides which pods belong to the mesh itself. */
export interface Scope {
  readonly namespace: string;
  readonly exempt: readonly string[];
}

const RunningPod = z.looseObject({
  metadata: z.looseObject({ name: z.string(), namespace: z.string() }),
  status: z
    .looseObject({
      containerStatuses: z
        .array(z.looseObject({ name: z.string(), imageID: z.string().default("") }))
        .default([]),
      initContainerStatuses: z
        .array(z.looseObject({ name: z.string(), imageID: z.string().default("") }))
        .default([]),
    })
    .default({ containerStatuses: [], initContainerStatuses: [] }),
});

/** Containers that are the mesh's in every pod. */
const OURS = new Set(["linkerd-proxy", "linkerd-init", "linkerd-network-validator"]);

/** Digests of the mesh's own images that run, by `namespace/pod`. */
async function imagesOf(place: Place, { namespace }: Scope) {
  const images = new Map<string, Record<string, string>>();
  if (place.type === "standalone") return images;
  for (const object of await place.client.list({ type: RESOURCES.pods })) {
    const { metadata, status } = RunningPod.parse(object);
    const own: Record<string, string> = {};
    for (const { name, imageID } of [...status.containerStatuses, ...status.initContainerStatuses]) {
      const digest = /sha256:[0-9a-f]{64}$/.exec(imageID)?.[0];
      if (digest !== undefined && (OURS.has(name) || metadata.namespace === namespace)) own[name] = digest;
    }
    images.set(`${metadata.namespace}/${metadata.name}`, own);
  }
  return images;
}

/** Every pod that runs. */
export function learnWorkloads(
  world: InboundContext,
  place: Place,
  scope: Scope,
): Promise<Evidence["workloads"]> {
  return learn({ query: "list Pods", object: "all namespaces" }, async () => {
    const images = await imagesOf(place, scope);
    const exempt = new Set<string>([
      scope.namespace,
      `${scope.namespace}-viz`,
      ...INFRASTRUCTURE,
      ...scope.exempt,
    ]);
    const value = [...world.snapshot.Pod.values()]
      .filter(({ isFinished }) => !isFinished)
      .map(({ meta }): Workload => ({
        namespace: meta.namespace,
        pod: meta.name,
        meshed: meta.labels[CONTROL_PLANE_NS_LABEL] !== undefined,
        own: exempt.has(meta.namespace),
        images: images.get(`${meta.namespace}/${meta.name}`) ?? {},
      }));
    return { value };
  });
}

const isProbe = (by: Ground | undefined) => by?.kind === "default" && by.name === "probe";

/** Who may reach each declared port of each meshed workload. */
export function learnGuards(world: InboundContext, scope: Scope): Promise<Evidence["guards"]> {
  const pods = meshedPods(world.snapshot, undefined).filter(({ meta }) => meta.namespace !== scope.namespace);
  return learn(
    { query: "resolve the inbound policy of every port", object: `${pods.length} meshed pods` },
    () => {
      const value = pods.flatMap(({ meta: { namespace, name } }) =>
        portsAt({ kind: "Pod", namespace, name, port: undefined }, world).map((at): Guard => {
          const rows = authorizationsAt([at], world).filter(({ by }) => !isProbe(by));
          const [first] = authorizationsAt([at], world);
          return {
            workload: `${namespace}/${name}`,
            port: at.port,
            server: first === undefined ? "unknown" : describeGround(first.server),
            explicit: first !== undefined && first.server.kind !== "default",
            unauthenticated: rows.some(({ clients }) => /^all\b/.test(clients)),
            by: [
              ...new Set(
                rows.flatMap(({ by, clients }) =>
                  by === undefined ? [] : `${describeGround(by)}: ${clients}`,
                ),
              ),
            ],
          };
        }),
      );
      return Promise.resolve({ value });
    },
  );
}

function authorities(certificates: readonly Certificate[]): readonly Authority[] {
  return certificates.map((one) => {
    const name = commonNames(one.subject)[0] ?? `certificate ${one.fingerprint.slice(0, 16)}`;
    return { name, facts: leafFacts(writeCertificatesPem([one])) };
  });
}

const read = (certificates: readonly Certificate[]) => ({ value: [...authorities(certificates)] });

/** The authorities in force. */
export async function learnAuthorities(
  place: Place,
  namespace: string,
): Promise<Pick<Evidence, "anchors" | "issuer">> {
  if (place.type === "standalone") {
    const { paths } = place;
    return {
      anchors: await learn({ query: "read identity/issuer/ca-bundle.crt", object: paths.dir }, async () =>
        read((await readAuthority(paths)).anchors),
      ),
      issuer: await learn({ query: "read identity/issuer/crt.pem", object: paths.dir }, async () => {
        const { issuer, intermediates } = await readAuthority(paths);
        return read([issuer, ...intermediates]);
      }),
    };
  }
  const { client } = place;
  return {
    anchors: await learn(
      { query: "get ConfigMap linkerd-identity-trust-roots", object: namespace },
      async () => read(await readAnchors(client, namespace)),
    ),
    issuer: await learn({ query: "get Secret linkerd-identity-issuer", object: namespace }, async () =>
      read(await readIssuer(client, namespace)),
    ),
  };
}

/** Where the mesh's trust stands. */
export function learnRotation(place: Place, namespace: string): Promise<Evidence["rotation"]> {
  const home =
    place.type === "standalone"
      ? directoryHome(place.paths.dir, join(place.paths.identity, "issuer"))
      : clusterHome(place.client, namespace);
  return learn({ query: "read the record of trust (hauberk trust status)", object: home.name }, async () => {
    const record = await home.record();
    const { status, rotation } = record;
    if (status === undefined) throw new Error("the control plane has written nothing down yet");
    const { proxies, proven, refused, bundle } = status;
    const value = {
      phase: rotation.phase,
      bundle,
      proxies,
      proven,
      ...(refused === undefined ? {} : { refused }),
    };
    return { value, raw: record };
  });
}

/** The record of what was done: the cluster's, or an exported one. */
export function learnRecord(
  place: Place,
  {
    namespace,
    file,
  }: {
    readonly namespace: string;
    readonly file: { readonly name: string; readonly text: string } | undefined;
  },
): Promise<Evidence["record"]> {
  const question = {
    query: "verify the audit record (hauberk audit verify)",
    object: file?.name ?? namespace,
  };
  return learn(question, async () => {
    const { stored, keys } =
      file === undefined ? await storedRecord(place, namespace) : exportedRecord(file.text);
    const chain = verifyChain(stored.entries, stored.head, keys);
    const fault = chain.ok ? {} : { fault: `entry ${chain.sequence}: ${chain.fault}: ${chain.detail}` };
    return { value: { entries: stored.entries.length, ok: chain.ok, ...fault }, raw: stored };
  });
}

function exportedRecord(text: string) {
  const { entries, head, keys } = readExport(text);
  return { stored: { entries, head }, keys: keysFromPem(keys) };
}

async function storedRecord(place: Place, namespace: string) {
  if (place.type === "standalone")
    throw new Error("a standalone mesh keeps no record; name an exported one with --record");
  const store = new AuditStore(place.client, namespace);
  const [stored, keys] = [await store.load(), await store.keys()];
  if (keys === undefined) throw new Error("nothing is recorded: the record has no keys yet");
  return { stored, keys };
}
