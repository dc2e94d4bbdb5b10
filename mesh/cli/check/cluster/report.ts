/** One report on a cluster: a client is made, facts are gathered, checks are made. */
import { KubeError } from "@hauberk/mesh/source/kube/error.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { extensionResults } from "../extensions.ts";
import { isHealthy, runChecks, type Result } from "../results.ts";
import { error } from "../check.ts";
import { checksFor, type Report } from "./checks.ts";
import { gatherCluster, type Asking } from "./gather.ts";

interface Wish {
  readonly report: Report;
  readonly withCni: boolean;
  /** Flags that extensions are given, too: which cluster is meant. */
  readonly passedOn?: readonly string[];
}

export async function clusterReport(
  connect: () => Promise<KubeClient>,
  asking: Asking,
  { report, withCni, passedOn = [] }: Wish,
): Promise<readonly Result[]> {
  const client = await open(connect);
  if (typeof client === "string") {
    const unusable = {
      category: "kubernetes-api",
      description: "can initialize the client",
      hint: "k8s-api",
      fatal: true,
      find: () => error(client),
    };
    return runChecks([unusable], undefined);
  }
  try {
    const facts = await gatherCluster(client, asking);
    const isCniWanted = withCni || (facts.config.ok && facts.config.value.cniEnabled);
    const { namespace, cniNamespace } = asking;
    const results = runChecks(checksFor(report, { namespace, cniNamespace, withCni: isCniWanted }), facts);
    const isWhole = report === "control-plane" || report === "proxy";
    if (!isWhole || !isHealthy(results) || !facts.namespaces.ok) return results;
    return [...results, ...(await extensionResults(facts.namespaces.value, passedOn, process.env))];
  } finally {
    await client.close();
  }
}

/** The client, or why there is none. */
async function open(connect: () => Promise<KubeClient>): Promise<KubeClient | string> {
  try {
    return await connect();
  } catch (cause) {
    if (cause instanceof KubeError) return cause.message;
    throw cause;
  }
}
