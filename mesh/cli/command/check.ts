import { setTimeout as sleep } from "node:timers/promises";
import { Flags } from "@oclif/core";
import { z } from "zod";
import { parseGoDurationMs } from "@hauberk/mesh/model/duration.ts";
import { knownMeshes } from "@hauberk/mesh/standalone/state.ts";
import type { Report } from "../check/cluster/checks.ts";
import type { Result } from "../check/results.ts";
import { ClusterOptions, clusterFlags, connectCluster } from "../cluster-flags.ts";
import { EXIT, MeshOptions, meshFlags } from "../mesh-command.ts";
import { cliVersion } from "../version.ts";
import { WorldCommand, type WorldOptions } from "../world/command.ts";

const RETRY_MS = 500;
/** As long as Linkerd waits: images are pulled meanwhile. */
const CLUSTER_WAIT_MS = 300_000;
const STANDALONE = "default";

/** Seconds, or a duration as Linkerd's flag takes it. */
const Wait = z.string().transform((text, context): number => {
  const ms = /^\d{1,5}$/.test(text) ? Number(text) * 1_000 : parseGoDurationMs(text);
  if (ms !== undefined && ms >= 0) return ms;
  context.addIssue({
    code: "custom",
    message: `${JSON.stringify(text)} is neither seconds nor a duration such as 5m`,
  });
  return z.NEVER;
});

const Options = z.strictObject({
  ...ClusterOptions,
  name: MeshOptions.name.optional(),
  state: MeshOptions.state,
  output: z.enum(["table", "short", "json"]),
  wait: Wait.optional(),
  pre: z.boolean(),
  crds: z.boolean(),
  proxy: z.boolean(),
  fips: z.boolean(),
  "linkerd-cni-enabled": z.boolean(),
  namespace: z.string().min(1).optional(),
  "expected-version": z.string().min(1).optional(),
  "cli-version-override": z.string().min(1).optional(),
});
type Options = z.infer<typeof Options>;

/** What runs the mesh: the standalone runtime of this machine, or a cluster. */
type Place =
  | { readonly type: "standalone"; readonly name: string }
  | { readonly type: "cluster"; readonly report: Report };

/** A cluster, unless a standalone mesh is named, or runs here and nothing says that a cluster is meant. */
function placeOf(options: Options, environment: Readonly<Record<string, string | undefined>>): Place {
  const { name, state, pre, crds, proxy, kubeconfig, context } = options;
  if (name !== undefined || state !== undefined) return { type: "standalone", name: name ?? STANDALONE };
  const report = pre ? "pre" : crds ? "crds" : proxy ? "proxy" : "control-plane";
  const saysCluster = [kubeconfig, context, environment["KUBECONFIG"]].some((said) => said !== undefined);
  const runsHere = knownMeshes(environment).includes(STANDALONE);
  return report === "control-plane" && !saysCluster && runsHere
    ? { type: "standalone", name: STANDALONE }
    : { type: "cluster", report };
}

export class CheckCommand extends WorldCommand {
  static override summary = "Say whether the control plane and the data plane are well.";
  static override description =
    "Of a cluster; of a standalone mesh with --name or --state, or if one runs here and no kubeconfig is named. Ends with 1 if anything is in error.";
  static override examples = [
    "<%= config.bin %> check --pre",
    "<%= config.bin %> check",
    "<%= config.bin %> check --proxy -n shop -o json",
  ];
  static override flags = {
    ...clusterFlags,
    name: Flags.string({ summary: "Name of the standalone mesh." }),
    state: meshFlags.state,
    output: Flags.string({
      char: "o",
      summary: "How to print.",
      options: ["table", "short", "json"],
      default: "table",
    }),
    wait: Flags.string({
      summary: "How long to wait for all to be well; 5m for a cluster, 0 for a standalone mesh.",
    }),
    pre: Flags.boolean({ summary: "Before an installation.", default: false, exclusive: ["proxy", "crds"] }),
    crds: Flags.boolean({ summary: "Only the kinds.", default: false, exclusive: ["proxy"] }),
    proxy: Flags.boolean({ summary: "The data plane, too.", default: false }),
    fips: Flags.boolean({
      summary: "Only whether each component, proxy and edge is of the FIPS profile and in approved mode.",
      default: false,
      exclusive: ["pre", "crds", "proxy"],
    }),
    "linkerd-cni-enabled": Flags.boolean({ summary: "The CNI plugin, too.", default: false }),
    namespace: Flags.string({ char: "n", summary: "Namespace of the data plane; all otherwise." }),
    "expected-version": Flags.string({
      summary: "Version that everything should have; this program's otherwise.",
    }),
    "cli-version-override": Flags.string({ summary: "Version to take this program for." }),
  };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(CheckCommand)).flags });
    const { isHealthy, renderResults, resultsJson } = await import("../check/results.ts");
    const place = placeOf(options, process.env);
    const results = options.fips
      ? await this.#fips(options, place)
      : place.type === "standalone"
        ? await this.#standalone(options, place.name)
        : await this.#cluster(options, place.report);
    const { output } = options;
    this.log(
      output === "json" ? JSON.stringify(resultsJson(results), undefined, 2) : renderResults(results, output),
    );
    if (!isHealthy(results)) this.exit(EXIT.unwell);
  }

  /** Asks everything for the cryptography that it does. */
  async #fips(options: Options, place: Place): Promise<readonly Result[]> {
    const [{ gatherFips }, { FIPS_CHECKS }, { mayPass, runChecks }] = await Promise.all([
      import("../check/fips-gather.ts"),
      import("../check/fips.ts"),
      import("../check/results.ts"),
    ]);
    const { state, namespace } = options;
    const at = place.type === "standalone" ? this.paths({ name: place.name, state }).dir : undefined;
    const looking: WorldOptions = { ...options, state: at, namespace: namespace ?? "default" };
    const controlPlane = options["linkerd-namespace"];
    return this.withWorld(looking, async ({ world, pods }) => {
      if (pods === undefined) return this.error("nothing runs there", { exit: EXIT.notRunning });
      return this.#until(options.wait ?? 0, mayPass, async () =>
        runChecks(FIPS_CHECKS, await gatherFips({ world, pods }, { controlPlane, namespace })),
      );
    });
  }

  async #standalone(options: Options, name: string): Promise<readonly Result[]> {
    const [{ gather }, { CHECKS }, { runChecks }] = await Promise.all([
      import("../check/gather.ts"),
      import("../check/checks.ts"),
      import("../check/results.ts"),
    ]);
    const paths = this.paths({ name, state: options.state });
    return this.#until(
      options.wait ?? 0,
      () => true,
      async () => runChecks(CHECKS, await gather(this.client(paths), paths, cliVersion())),
    );
  }

  async #cluster(options: Options, report: Report): Promise<readonly Result[]> {
    const [{ clusterReport }, { mayPass }] = await Promise.all([
      import("../check/cluster/report.ts"),
      import("../check/results.ts"),
    ]);
    const version = options["cli-version-override"] ?? cliVersion();
    const asking = {
      namespace: options["linkerd-namespace"],
      cniNamespace: options["cni-namespace"],
      dataPlane: options.namespace,
      cliVersion: version,
      expectedVersion: options["expected-version"] ?? version,
      asksAccess: report === "pre",
    };
    const { kubeconfig, context } = options;
    const passedOn = [
      ...(kubeconfig === undefined ? [] : [`--kubeconfig=${kubeconfig}`]),
      ...(context === undefined ? [] : [`--context=${context}`]),
      `--linkerd-namespace=${options["linkerd-namespace"]}`,
    ];
    const wish = { report, withCni: options["linkerd-cni-enabled"], passedOn };
    const wait = options.wait ?? (report === "pre" ? 0 : CLUSTER_WAIT_MS);
    return this.#until(wait, mayPass, () => clusterReport(() => connectCluster(options), asking, wish));
  }

  /** Looks again until all is well, waiting helps no more, or the time is up. */
  async #until(
    waitMs: number,
    mayHelp: (results: readonly Result[]) => boolean,
    look: () => Promise<readonly Result[]>,
  ): Promise<readonly Result[]> {
    const { isHealthy } = await import("../check/results.ts");
    const deadline = Date.now() + waitMs;
    let results = await look();
    while (!isHealthy(results) && mayHelp(results) && Date.now() < deadline) {
      await sleep(RETRY_MS);
      results = await look();
    }
    return results;
  }
}
