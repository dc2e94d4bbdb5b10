/** The flags of every command that talks to a cluster, and the way from them to a client. */
import { Flags } from "@oclif/core";
import { z } from "zod";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";

/** Namespace of the control plane unless a flag says otherwise. */
const LINKERD_NAMESPACE = "linkerd";
const CNI_NAMESPACE = "linkerd-cni";

/** Flags of commands about a cluster: spread them into `static override flags`. */
export const clusterFlags = {
  kubeconfig: Flags.string({ summary: "Path of the kubeconfig file.", helpGroup: "CLUSTER" }),
  context: Flags.string({ summary: "Context of the kubeconfig.", helpGroup: "CLUSTER" }),
  as: Flags.string({ summary: "User to impersonate.", helpGroup: "CLUSTER" }),
  "as-group": Flags.string({
    summary: "Group to impersonate; may be given again.",
    multiple: true,
    helpGroup: "CLUSTER",
  }),
  "linkerd-namespace": Flags.string({
    char: "L",
    summary: "Namespace of the control plane.",
    default: LINKERD_NAMESPACE,
    env: "LINKERD_NAMESPACE",
    helpGroup: "CLUSTER",
  }),
  "cni-namespace": Flags.string({
    summary: "Namespace of the CNI plugin.",
    default: CNI_NAMESPACE,
    helpGroup: "CLUSTER",
  }),
  "api-addr": Flags.string({
    summary: "HOST:PORT of the control plane, instead of a way through the API server.",
    helpGroup: "CLUSTER",
  }),
  verbose: Flags.boolean({
    summary: "Say more of what is being done.",
    default: false,
    helpGroup: "CLUSTER",
  }),
};

const Namespace = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, "is no name for a namespace");

/** Their values: spread it into the strict schema of the command's options. */
export const ClusterOptions = {
  kubeconfig: z.string().min(1).optional(),
  context: z.string().min(1).optional(),
  as: z.string().min(1).optional(),
  "as-group": z.array(z.string().min(1)).optional(),
  "linkerd-namespace": Namespace,
  "cni-namespace": Namespace,
  "api-addr": z
    .string()
    .regex(/^.+:\d{1,5}$/, "is not HOST:PORT")
    .optional(),
  verbose: z.boolean(),
};

const ClusterOptionsSchema = z.object(ClusterOptions);
export type ClusterOptions = z.infer<typeof ClusterOptionsSchema>;

/** A client for the cluster that the flags name. The caller closes it. Loads the client only now. */
export async function connectCluster(
  options: Pick<ClusterOptions, "kubeconfig" | "context" | "as" | "as-group">,
): Promise<KubeClient> {
  const { connect } = await import("@hauberk/mesh/source/kube/client.ts");
  return connect({
    kubeconfig: options.kubeconfig,
    context: options.context,
    as: options.as,
    asGroups: options["as-group"],
  });
}
