/** The role proxy-injector: its webhook, its admin endpoint, and how both end. */
import { parseArgs } from "node:util";
import { z } from "zod";
import { startWebhook, type Webhook } from "../admission/webhook.ts";
import { REVISION, ofRevision } from "../model/revision.ts";
import { followCluster, type FollowedCluster } from "../proxy-injector/cluster.ts";
import { INJECTOR_CONFIGURATION, INJECTOR_PATH, INJECTOR_SERVICE } from "../proxy-injector/registration.ts";
import { injectorWebhook } from "../proxy-injector/webhook.ts";
import { connect } from "../source/kube/client.ts";
import { guardOf } from "./access.ts";
import { serveAdmin, type Page } from "./admin.ts";
import { ConfigError, Listening } from "./config.ts";
import { kubeRate } from "./kube_rate.ts";
import { renderMetrics, type Family } from "./metrics.ts";
import type { RoleContext, Running } from "./roles.ts";
import { logWebhook } from "./validators.ts";

const FLAGS = {
  kubeconfig: { type: "string" },
  context: { type: "string" },
  "control-plane-namespace": { type: "string" },
  listen: { type: "string" },
  "admin-listen": { type: "string" },
  version: { type: "string" },
  revision: { type: "string" },
} as const;

const Flags = z.strictObject({
  kubeconfig: z.string().min(1).optional(),
  context: z.string().min(1).optional(),
  "control-plane-namespace": z.string().min(1).default("linkerd"),
  listen: Listening.prefault("0.0.0.0:8443"),
  "admin-listen": Listening.prefault("0.0.0.0:9995"),
  /** As `linkerd.io/created-by` says it. */
  version: z.string().min(1).default("unversioned"),
  /** Absent: the first control plane. */
  revision: z.string().regex(REVISION, "is no name for a revision").optional(),
});

/** Starts the role from its flags; resolves when the admin endpoint answers. */
export async function startInjector(
  args: readonly string[],
  { environment, log, stop }: RoleContext,
): Promise<Running> {
  const flags = readFlags(args);
  const { "control-plane-namespace": namespace, revision } = flags;
  const service = ofRevision(INJECTOR_SERVICE, revision);
  const client = await connect({
    kubeconfig: flags.kubeconfig,
    context: flags.context,
    guard: guardOf("proxy-injector", namespace, revision),
    rate: kubeRate(environment),
  });
  const { signal } = stop;
  const cluster = followCluster(
    {
      client,
      namespace,
      revision,
      createdBy: `hauberk/proxy-injector ${flags.version}`,
      heard: (event) =>
        event.type === "changed"
          ? log("info", "mesh configuration", { trustRootSha256: event.trustRootSha256 })
          : log("warn", "cannot read the mesh's configuration", { reason: String(event.error) }),
    },
    signal,
  );
  const injector = injectorWebhook(cluster);
  const webhook = startWebhook(
    {
      client,
      namespace,
      service,
      configurations: [{ kind: "mutating", name: ofRevision(INJECTOR_CONFIGURATION, revision) }],
      ...flags.listen,
      handlers: new Map([[INJECTOR_PATH, injector.handle]]),
      heard: (event) => logWebhook(log, service, event),
    },
    signal,
  );
  const families = (): readonly Family[] => [...injector.metrics(), ...webhook.metrics()];
  const admin = await serveAdmin(pages(cluster, webhook, families), flags["admin-listen"]);
  log("info", "admin", { address: admin.address.address, port: admin.address.port });
  const done = Promise.all([webhook.done, cluster.done]).then(() => undefined);
  return {
    done,
    close: async () => {
      stop.abort();
      await done;
      await admin.close();
      await client.close();
    },
  };
}

function readFlags(args: readonly string[]): z.infer<typeof Flags> {
  let values: unknown;
  try {
    ({ values } = parseArgs({ args: [...args], options: FLAGS, strict: true, allowPositionals: false }));
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
  const parsed = Flags.safeParse(values);
  if (parsed.success) return parsed.data;
  const texts = parsed.error.issues.map(({ path, message }) => `--${path.join(".")}: ${message}`);
  throw new ConfigError(texts.join("; "));
}

function pages(
  cluster: FollowedCluster,
  webhook: Webhook,
  families: () => readonly Family[],
): ReadonlyMap<string, Page> {
  const isReady = (): boolean => cluster.isKnown() && webhook.isReady();
  const ready = plain(() => ({ status: isReady() ? 200 : 503, body: isReady() ? "ready\n" : "not ready\n" }));
  const live = plain(() => ({ status: 200, body: "live\n" }));
  return new Map([
    ["/live", live],
    ["/ping", live],
    ["/ready", ready],
    ["/metrics", plain(() => ({ status: 200, body: renderMetrics(families()) }))],
  ]);
}

function plain(render: Page["render"]): Page {
  return { contentType: "text/plain", render };
}
