/** The role identity in a cluster: certificates for what the API server proves, and the mesh's root, replaced in time. */
import { z } from "zod";
import { writeCertificatesPem } from "@hauberk/crypto/certificate.ts";
import { serve } from "../api/grpc.ts";
import { CallLimit } from "../api/limit.ts";
import { Methods } from "../api/methods.ts";
import { Code, RpcError } from "../api/status.ts";
import { APPROVED_PROXIES, readApproved } from "../identity/approved.ts";
import { identityMethods, type IdentityCounts } from "../identity/grpc.ts";
import type { Issuer } from "../identity/issuer.ts";
import { verifyByReview, type Reviewer } from "../identity/token-review.ts";
import { drive } from "../identity/trust-driver.ts";
import { ISSUER_SECRET, TRUST_LEASE, TRUST_RECORD } from "../identity/trust-objects.ts";
import { dueAtMs, newRootRequest } from "../identity/trust-schedule.ts";
import { connect, type KubeClient } from "../source/kube/client.ts";
import { lead } from "../source/kube/lease.ts";
import { RESOURCES } from "../source/kube/resource.ts";
import { guardOf } from "./access.ts";
import { serveAdmin, type Page } from "./admin.ts";
import { dataOf, followIssuer, watchObject, type ClusterIssuer, type IssuerNews } from "./cluster_issuer.ts";
import { logOutcome } from "./identity.ts";
import { parseIdentityConfig, type IdentityRoleConfig } from "./identity_config.ts";
import { kubeRate } from "./kube_rate.ts";
import type { Log } from "./log.ts";
import { renderMetrics } from "./metrics.ts";
import { grpcFamilies, healthPages, identityFamilies } from "./report.ts";
import type { RoleContext, Running } from "./roles.ts";
import { issuerFamilies } from "./trust_families.ts";
import { trustCluster } from "./trust_store.ts";
import { driveLog } from "./trust.ts";

/** Between two looks at the cluster's trust: each lists the heads of the mesh's pods. */
const PAUSES = { busyMs: 5_000, idleMs: 30_000 } as const;

/** A pod, as far as a token is held against it. */
const ContainerStatuses = z.array(z.object({ name: z.string(), imageID: z.string().default("") })).nullish();
const Pod = z.object({
  metadata: z.object({ uid: z.string() }),
  spec: z.object({ serviceAccountName: z.string().default("default") }),
  status: z
    .object({
      phase: z.string().nullish(),
      containerStatuses: ContainerStatuses,
      initContainerStatuses: ContainerStatuses,
    })
    .nullish(),
});

/** The API server as a reviewer of tokens. */
function reviewerOf(client: KubeClient): Reviewer {
  return {
    review: (review, signal) => client.create({ type: RESOURCES.tokenReviews }, review, { signal }),
    pod: async ({ namespace, name }, signal) => {
      const found = await client.find({ type: RESOURCES.pods, namespace, name }, signal);
      if (found === undefined) return undefined;
      const { metadata, spec, status } = Pod.parse(found);
      const isFinished = status?.phase === "Succeeded" || status?.phase === "Failed";
      // A native sidecar is an init container to Kubernetes.
      const containers = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
      return {
        uid: metadata.uid,
        serviceAccount: spec.serviceAccountName,
        isFinished,
        containers: containers.map(({ name, imageID }) => ({ name, imageId: imageID })),
      };
    },
  };
}

/** The builds of the proxy that are approved. Not knowing them, nobody gets a certificate. */
interface Approved {
  readonly digests: () => ReadonlySet<string>;
  readonly done: Promise<void>;
}

function followApproved(
  client: KubeClient,
  namespace: string,
  context: { readonly log: Log; readonly signal: AbortSignal },
): Approved {
  const { name, key } = APPROVED_PROXIES;
  const list = watchObject(client, { type: RESOURCES.configMaps, namespace, name }, context);
  const digests = (): ReadonlySet<string> => readApproved(dataOf(list.value.value, key) ?? "");
  list.value.listen(() => {
    if (digests().size === 0)
      context.log("error", "no proxy gets a certificate", { reason: `ConfigMap ${name} approves no build` });
  });
  return {
    digests: () => {
      if (!list.isRead()) throw new Error("the approved builds of the proxy have not been read yet");
      return digests();
    },
    done: list.done,
  };
}

/** Starts the role from its flags; resolves when its addresses answer. It is ready once it has an issuer. */
export async function startIdentityRole(
  args: readonly string[],
  { environment, log, stop }: RoleContext,
): Promise<Running> {
  const config = parseIdentityConfig(args, environment);
  const namespace = config.domain.controlPlaneNamespace;
  const client = await connect({
    ...config.connect,
    guard: guardOf("identity", namespace),
    rate: kubeRate(environment),
  });
  const { signal } = stop;
  const issuer = followIssuer(client, {
    namespace,
    log,
    signal,
    news: newsOf(client, config, log),
  });
  const approved = config.requiresApproval ? followApproved(client, namespace, { log, signal }) : undefined;
  const methods = new Methods();
  const counts = identityMethods(methods, {
    issuer: () => requireIssuer(issuer),
    verify: (token, _, call) =>
      verifyByReview(token, {
        reviewer: reviewerOf(client),
        domain: config.domain,
        signal: call,
        approved: approved?.digests,
      }),
    lifeMs: config.leafLifeMs,
    skewMs: config.skewMs,
    heard: (outcome) => logOutcome(outcome, log),
  });
  const onInternalError = (path: string, error: unknown): void =>
    log("error", "internal error", { path, detail: error instanceof Error ? error.stack : String(error) });
  const driving = leadRotations(client, config, { log, signal });
  const admin = await serveAdmin(pages(issuer, methods, counts), config.adminListen);
  const server = await serve(methods, {
    ...config.identityListen,
    onInternalError,
    // Who has no certificate yet is limited by what its token proves.
    limit: new CallLimit({ limitsUnproven: false }),
  });
  log("info", "serving", { role: "identity", address: server.address.address, port: server.address.port });
  const done = Promise.all([issuer.done, driving, approved?.done]).then(() => undefined);
  return {
    done,
    close: async (spreadMs) => {
      stop.abort();
      await server.close(spreadMs);
      await done;
      await admin.close();
      await client.close();
    },
  };
}

/** Tells of issuers in the log and in events. */
function newsOf(client: KubeClient, config: IdentityRoleConfig, log: Log): IssuerNews {
  const tell = (type: "Normal" | "Warning", reason: string, note: string) =>
    void event(client, { type, reason, note, config, log });
  return {
    replaced: ({ authority }) => {
      const { fingerprint, notAfterMs } = authority.certificate;
      log("info", "issuer in force", { issuer: fingerprint, notAfter: new Date(notAfterMs).toISOString() });
      tell("Normal", "IssuerUpdated", `issuer ${fingerprint} is in force`);
    },
    refused: (reason) => {
      log("error", "issuer refused, the one before stays in force", { reason });
      tell("Warning", "IssuerUpdateSkipped", reason);
    },
  };
}

function requireIssuer({ inForce }: ClusterIssuer): Issuer {
  if (inForce.value !== undefined) return inForce.value;
  throw new RpcError(Code.Unavailable, "there is no issuer yet");
}

/** Drives rotations while this replica has the lease. */
function leadRotations(
  client: KubeClient,
  config: IdentityRoleConfig,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<void> {
  const { domain, schedule, holder } = config;
  const namespace = domain.controlPlaneNamespace;
  const store = trustCluster({ client, namespace, hasExternalRoots: config.hasExternalRoots });
  const options = {
    timing: { leafLifeMs: config.leafLifeMs, spreadMs: config.spreadMs },
    pauses: PAUSES,
    nowMs: Date.now,
    due: (world: Parameters<typeof dueOf>[0], nowMs: number) => dueOf(world, nowMs),
    heard: driveLog(log),
  };
  const dueOf = (world: { readonly issuer: Life; readonly root: Life }, nowMs: number) => {
    const atMs = dueAtMs(schedule, world.issuer, world.root);
    return atMs !== undefined && atMs <= nowMs ? newRootRequest(domain, "schedule", nowMs) : undefined;
  };
  return lead({
    client,
    namespace,
    name: TRUST_LEASE,
    holder,
    signal,
    whileLeading: (leading) => drive(publishing(store, client, namespace), options, leading),
    onChange: (isLeading) => log("info", isLeading ? "leading" : "no longer leading", { lease: TRUST_LEASE }),
    onFailure: (error) => log("warn", "lease", { lease: TRUST_LEASE, reason: String(error) }),
  });
}

interface Life {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * Writes down, beside the phase, by whom certificates are issued: what proxies prove is held against it by roles that
 * may not read the issuer's Secret.
 */
function publishing(
  store: ReturnType<typeof trustCluster>,
  client: KubeClient,
  namespace: string,
): typeof store {
  const ref = { type: RESOURCES.configMaps, namespace, name: TRUST_RECORD.name };
  return {
    ...store,
    read: async (signal) => {
      const world = await store.read(signal);
      const pem = writeCertificatesPem([world.issuer]);
      const known = await client.find(ref, signal);
      if (known === undefined || dataOf(known, TRUST_RECORD.issuer) === pem) return world;
      const body = { data: { [TRUST_RECORD.issuer]: pem } };
      const { metadata } = await client.patch(ref, { type: "merge", body }, { signal });
      return { ...world, version: metadata.resourceVersion ?? world.version };
    },
  };
}

function pages(issuer: ClusterIssuer, methods: Methods, counts: IdentityCounts): ReadonlyMap<string, Page> {
  const metrics: Page = {
    contentType: "text/plain; version=0.0.4",
    render: () => ({
      status: 200,
      body: renderMetrics([
        ...grpcFamilies([{ name: "identity", methods }]),
        ...identityFamilies(counts),
        ...issuerFamilies(issuer.inForce.value, issuer.counts()),
      ]),
    }),
  };
  const health = healthPages(issuer.lacking);
  const live = health.get("/live");
  return new Map([
    ...health,
    ...(live === undefined ? [] : [["/ping", live] as const]),
    ["/metrics", metrics],
  ]);
}

/** Tells of the issuer where an operator looks first: the Secret's events. */
async function event(
  client: KubeClient,
  {
    type,
    reason,
    note,
    config,
    log,
  }: {
    readonly type: "Normal" | "Warning";
    readonly reason: string;
    readonly note: string;
    readonly config: IdentityRoleConfig;
    readonly log: Log;
  },
): Promise<void> {
  const at = new Date().toISOString();
  const namespace = config.domain.controlPlaneNamespace;
  try {
    await client.create(
      { type: RESOURCES.events, namespace },
      {
        metadata: { generateName: `${ISSUER_SECRET}.`, namespace },
        involvedObject: { apiVersion: "v1", kind: "Secret", namespace, name: ISSUER_SECRET },
        type,
        reason,
        message: note.slice(0, 1_000),
        source: { component: "linkerd-identity", host: config.holder },
        firstTimestamp: at,
        lastTimestamp: at,
        count: 1,
      },
    );
  } catch (error) {
    log("warn", "event not written", { reason: error instanceof Error ? error.message : String(error) });
  }
}
