/** Commands about a mesh that runs: on a cluster, or standalone on this machine. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Flags } from "@oclif/core";
import { z } from "zod";
import { MESH_NAME, knownMeshes } from "@hauberk/mesh/standalone/state.ts";
import { ClusterOptions, clusterFlags } from "../cluster-flags.ts";
import { meshFlags } from "../mesh-command.ts";

/** The mesh that is meant where none is named. */
export const STANDALONE = "default";

/** Flags of such commands. */
export const liveFlags = {
  ...clusterFlags,
  name: Flags.string({ summary: "Name of a standalone mesh." }),
  state: meshFlags.state,
  output: meshFlags.output,
};

/** Their values. */
export const LiveOptions = {
  ...ClusterOptions,
  name: z.string().regex(MESH_NAME, "is no name for a mesh").optional(),
  state: z.string().min(1).optional(),
  output: z.enum(["table", "json"]),
};
const Options = z.object(LiveOptions);
export type LiveOptions = z.infer<typeof Options>;

type Asked = Pick<LiveOptions, "name" | "state" | "kubeconfig" | "context">;

/** Whether a cluster is meant: not if a standalone mesh is named, or runs here and nothing says that a cluster is. */
export function isClusterMeant(
  { name, state, kubeconfig, context }: Asked,
  environment: Readonly<Record<string, string | undefined>>,
): boolean {
  if (name !== undefined || state !== undefined) return false;
  const said = [kubeconfig, context, environment["KUBECONFIG"], environment["KUBERNETES_SERVICE_HOST"]];
  if (said.some((one) => one !== undefined && one !== "")) return true;
  return (
    !knownMeshes(environment).includes(STANDALONE) &&
    existsSync(join(environment["HOME"] ?? homedir(), ".kube", "config"))
  );
}
