import { Flags } from "@oclif/core";
import { z } from "zod";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import { ClusterOptions, clusterFlags, connectCluster } from "../../cluster-flags.ts";
import { EXIT, MeshCommand } from "../../mesh-command.ts";
import type { MeshedPod, Wanted } from "../../proxy/plan.ts";

const Namespace = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "is no name for a namespace");
const Options = z.strictObject({
  ...ClusterOptions,
  namespace: z.array(Namespace).optional(),
  "all-namespaces": z.boolean(),
  selector: z.string().min(1).optional(),
  "proxy-version": z
    .string()
    .regex(/^[\w][\w.@:-]*$/, "is no tag")
    .optional(),
  single: z.boolean(),
  "dry-run": z.boolean(),
  "wait-seconds": z.number().int().min(10).max(3_600),
});
type Options = z.infer<typeof Options>;

/** Gives running proxies another image, where they are. */
export class ProxyUpgradeCommand extends MeshCommand {
  static override summary =
    "Give running proxies the control plane's version, without restarting their pods.";
  static override description = [
    "The image of a pod's proxy is changed where it runs: the kubelet restarts that container and no other, so the",
    "application goes on. One pod at a time, the next when the last is ready again; one that does not come back is put",
    "back as it was, and nothing after it is changed. While a proxy changes, its application can open no connection",
    "(about a second after the old one has drained), and connections through it that do not end by themselves are cut.",
    "A workload's only pod is left alone unless --single is given.",
  ].join(" ");
  static override examples = [
    "<%= config.bin %> proxy upgrade -n my-app",
    "<%= config.bin %> proxy upgrade -A --dry-run",
  ];
  static override flags = {
    ...clusterFlags,
    namespace: Flags.string({
      char: "n",
      summary: "Pods of this namespace; may be given again.",
      multiple: true,
    }),
    "all-namespaces": Flags.boolean({ char: "A", summary: "Pods of every namespace.", default: false }),
    selector: Flags.string({ char: "l", summary: "Only pods with these labels." }),
    "proxy-version": Flags.string({ summary: "Tag or digest, instead of the control plane's." }),
    single: Flags.boolean({
      summary: "Also pods that have no other of their workload beside them.",
      default: false,
    }),
    "dry-run": Flags.boolean({ summary: "Say what would be done.", default: false }),
    "wait-seconds": Flags.integer({ summary: "How long one pod may take.", default: 300 }),
  };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(ProxyUpgradeCommand)).flags });
    if ((options.namespace === undefined) === !options["all-namespaces"])
      this.error("name a namespace (-n), or all of them (-A)", { exit: EXIT.usage });
    const [{ planUpgrade }, { upgradeProxy }] = await Promise.all([
      import("../../proxy/plan.ts"),
      import("../../proxy/upgrade.ts"),
    ]);
    const client = await connectCluster(options);
    const stop = new AbortController();
    process.once("SIGINT", () => stop.abort());
    try {
      const wanted = await this.#wanted(client, options);
      const { steps, left } = planUpgrade(await podsOf(client, options), wanted, options);
      for (const { pod, why } of left)
        if (why !== "has this image") this.logToStderr(`${pod}: its proxy ${why}`);
      this.log(`${steps.length} of ${steps.length + left.length} proxies get ${wanted.image}`);
      for (const step of steps) {
        if (options["dry-run"]) this.log(`${step.namespace}/${step.name} (${step.from})`);
        else
          await upgradeProxy(client, step, {
            wanted,
            timeoutMs: options["wait-seconds"] * 1_000,
            say: (line) => this.log(line),
            signal: stop.signal,
          });
      }
    } finally {
      await client.close();
    }
  }

  /** What the injector would give a new pod. */
  async #wanted(client: KubeClient, options: Options): Promise<Wanted> {
    const { readMesh } = await import("@hauberk/mesh/proxy-injector/cluster.ts");
    const { settings } = await readMesh(client, { namespace: options["linkerd-namespace"], createdBy: "" });
    const { name, version: own } = settings.proxy.image;
    const version = options["proxy-version"] ?? (own === "" ? settings.linkerdVersion : own);
    const separator = version.startsWith("sha256:") ? "@" : ":";
    return { image: `${name}${separator}${version}`, version: version.replace(/@.*$/, "") };
  }
}

async function podsOf(client: KubeClient, options: Options): Promise<readonly MeshedPod[]> {
  const { MeshedPod } = await import("../../proxy/plan.ts");
  const own = `linkerd.io/control-plane-ns=${options["linkerd-namespace"]},!linkerd.io/control-plane-component`;
  const labelSelector = [own, ...(options.selector === undefined ? [] : [options.selector])].join(",");
  const lists = await Promise.all(
    (options.namespace ?? [undefined]).map((namespace) =>
      client.list({ type: RESOURCES.pods, namespace }, { labelSelector }),
    ),
  );
  return lists.flat().map((pod) => MeshedPod.parse(pod));
}
