/** The role identity in a cluster: the issuer from its Secret, tokens proven by the API server, certificates over gRPC. */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { z } from "zod";
import { serve } from "../api/grpc.ts";
import { Methods } from "../api/methods.ts";
import { identityMethods, type IdentityCounts, type Outcome } from "../identity/grpc.ts";
import { readApproved } from "../identity/approved.ts";
import { IssuerInForce } from "../identity/issuer-in-force.ts";
import { readIssuerSecret } from "../identity/issuer-secret.ts";
import { explainIssuer, type Issuer } from "../identity/issuer.ts";
import { verifyByReview, type Reviewer } from "../identity/token-review.ts";
import { keyOf } from "../model/meta.ts";
import { connect, type KubeClient } from "../source/kube/client.ts";
import { RESOURCES } from "../source/kube/resource.ts";
import { guardOf } from "./access.ts";
import { serveAdmin, type Page } from "./admin.ts";
import { ConfigError, DnsName, Listening } from "./config.ts";
import type { Log } from "./log.ts";
import { renderMetrics, type Family } from "./metrics.ts";
import { grpcFamilies, identityFamilies } from "./report.ts";
import type { RoleContext, Running } from "./roles.ts";

const ISSUER = "linkerd-identity-issuer";
const TRUST_ROOTS = "linkerd-identity-trust-roots";
/** What `hauberk upgrade` and `hauberk verify` approved; looked at only if certificates are for approved builds alone. */
const APPROVED = "hauberk-approved-proxies";
const APPROVED_KEY = "digests";
const TRUST_ROOTS_KEY = "ca-bundle.crt";

/** How often the issuer and the roots are looked at: they change a few times a year, and then soon matter. */
const LOOK_MS = 3_000;

const FLAGS = {
  kubeconfig: { type: "string" },
  context: { type: "string" },
  "control-plane-namespace": { type: "string" },
  "cluster-domain": { type: "string" },
  "trust-domain": { type: "string" },
  "identity-listen": { type: "string" },
  "approved-proxies": { type: "string" },
  "admin-listen": { type: "string" },
} as const;

const Flags = z.strictObject({
  kubeconfig: z.string().min(1).optional(),
  context: z.string().min(1).optional(),
  "control-plane-namespace": DnsName.default("linkerd"),
  "cluster-domain": DnsName.default("cluster.local"),
  "trust-domain": DnsName.default("cluster.local"),
  "identity-listen": Listening.prefault("0.0.0.0:8080"),
  "approved-proxies": z.enum(["any", "require"]).default("any"),
  "admin-listen": Listening.prefault("0.0.0.0:9990"),
});
type Flags = z.infer<typeof Flags>;

const ConfigMap = z.object({ data: z.record(z.string(), z.string()).nullish() });
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

/** Starts the role from its flags; resolves when certificates are issued. */
export async function startIdentityRole(
  args: readonly string[],
  { log, stop }: Pick<RoleContext, "log" | "stop">,
): Promise<Running> {
  const flags = readFlags(args);
  const namespace = flags["control-plane-namespace"];
  const { signal } = stop;
  const client = await connect({
    kubeconfig: flags.kubeconfig,
    context: flags.context,
    guard: guardOf("identity", namespace),
  });
  const inForce = new IssuerInForce();
  const approval = flags["approved-proxies"] === "require" ? new Approval() : undefined;
  const methods = new Methods();
  const counts = identityMethods(methods, {
    issuer: () => inForceOf(inForce),
    verify: (token, _, asked) =>
      verifyByReview(token, {
        reviewer: reviewerOf(client),
        domain: { trustDomain: flags["trust-domain"], controlPlaneNamespace: namespace },
        signal: asked,
        approved: approval === undefined ? undefined : () => approval.digests,
      }),
    heard: (outcome) => logOutcome(log, outcome),
  });
  const isReady = (): boolean => inForce.issuer !== undefined;
  const admin = await serveAdmin(pages(isReady, methods, counts), flags["admin-listen"]);
  log("info", "admin", { address: admin.address.address, port: admin.address.port });
  const following = { inForce, namespace, log, signal };
  const done = Promise.all([
    followIssuer(client, following),
    approval === undefined ? undefined : approval.follow(client, following),
  ]).then(() => undefined);
  while (!isReady() && !signal.aborted) await sleep(50, undefined, { signal }).catch(() => undefined);
  const server = await serve(methods, {
    ...flags["identity-listen"],
    onInternalError: (path, error) => log("error", "internal error", { path, detail: String(error) }),
  });
  log("info", "serving", { role: "identity", address: server.address.address, port: server.address.port });
  return {
    done,
    close: async (spreadMs) => {
      stop.abort();
      await Promise.all([server.close(spreadMs), admin.close(), done]);
      await client.close();
    },
  };
}

function readFlags(args: readonly string[]): Flags {
  let values: unknown;
  try {
    ({ values } = parseArgs({ args: [...args], options: FLAGS, strict: true, allowPositionals: false }));
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
  const parsed = Flags.safeParse(values);
  if (parsed.success) return parsed.data;
  throw new ConfigError(
    parsed.error.issues.map(({ path, message }) => `--${path.join(".")}: ${message}`).join("; "),
  );
}

function inForceOf(inForce: IssuerInForce): Issuer {
  if (inForce.issuer === undefined) throw new Error("no issuer has been read yet");
  return inForce.issuer;
}

/** The API server as the judge of tokens. */
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

interface Following {
  readonly inForce: IssuerInForce;
  readonly namespace: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** The builds of the proxy that are approved. Not knowing them, nobody gets a certificate. */
class Approval {
  #digests: ReadonlySet<string> | undefined;

  get digests(): ReadonlySet<string> {
    if (this.#digests === undefined)
      throw new Error("the approved builds of the proxy have not been read yet");
    return this.#digests;
  }

  async follow(client: KubeClient, { namespace, log, signal }: Following): Promise<void> {
    let trouble = "";
    while (!signal.aborted) {
      try {
        const found = await client.find({ type: RESOURCES.configMaps, namespace, name: APPROVED }, signal);
        const text = found === undefined ? undefined : ConfigMap.parse(found).data?.[APPROVED_KEY];
        this.#digests = readApproved(text ?? "");
        const reason = this.#digests.size === 0 ? `ConfigMap ${namespace}/${APPROVED} approves no build` : "";
        if (reason !== "" && reason !== trouble) log("error", "no proxy gets a certificate", { reason });
        trouble = reason;
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        if (!signal.aborted && reason !== trouble) log("warn", "cannot read the approved builds", { reason });
        trouble = reason;
      }
      await sleep(LOOK_MS * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Looks at the issuer and the roots until `signal`; what is wrong is told once, and what was in force stays. */
async function followIssuer(
  client: KubeClient,
  { inForce, namespace, log, signal }: Following,
): Promise<void> {
  let trouble = "";
  while (!signal.aborted) {
    try {
      const offered = await offer(client, { inForce, namespace, signal });
      trouble = "";
      if (offered.type === "replaced")
        log("info", "issuer in force", { anchors: offered.issuer.anchors.length });
      if (offered.type === "kept" && offered.isNew)
        log("error", "the issuer is wrong, the one before stays in use", {
          reason: explainIssuer(offered.refusal),
        });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!signal.aborted && reason !== trouble) log("warn", "cannot read the issuer", { reason });
      trouble = reason;
    }
    await sleep(LOOK_MS * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
  }
}

async function offer(client: KubeClient, { inForce, namespace, signal }: Omit<Following, "log">) {
  const [secret, roots] = await Promise.all([
    client.get({ type: RESOURCES.secrets, namespace, name: ISSUER }, signal),
    client.get({ type: RESOURCES.configMaps, namespace, name: TRUST_ROOTS }, signal),
  ]);
  const anchors = ConfigMap.parse(roots).data?.[TRUST_ROOTS_KEY];
  if (anchors === undefined)
    throw new Error(`ConfigMap ${namespace}/${TRUST_ROOTS} has no key ${TRUST_ROOTS_KEY}`);
  const read = readIssuerSecret(secret);
  if (!read.ok) throw new Error(`Secret ${namespace}/${ISSUER}: ${read.detail}`);
  return inForce.offer({ ...read.values, anchors }, Date.now());
}

function logOutcome(log: Log, outcome: Outcome): void {
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

function pages(isReady: () => boolean, methods: Methods, counts: IdentityCounts): ReadonlyMap<string, Page> {
  const families = (): readonly Family[] => [
    ...grpcFamilies([{ name: "identity", methods }]),
    ...identityFamilies(counts),
  ];
  const live = plain(() => ({ status: 200, body: "live\n" }));
  return new Map([
    ["/live", live],
    ["/ping", live],
    [
      "/ready",
      plain(() => (isReady() ? { status: 200, body: "ready\n" } : { status: 503, body: "not ready\n" })),
    ],
    ["/metrics", plain(() => ({ status: 200, body: renderMetrics(families()) }))],
  ]);
}

function plain(render: Page["render"]): Page {
  return { contentType: "text/plain", render };
}
