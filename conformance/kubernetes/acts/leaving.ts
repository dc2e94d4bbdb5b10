/** The end of an installation. */
import { deployment, namespace } from "../objects.ts";
import { eventually, type World } from "../world.ts";
import type { Act } from "../suite.ts";
import { line } from "./installing.ts";

/** Kinds that are of no namespace and that an installation makes. */
const CLUSTER_WIDE =
  "clusterrole,clusterrolebinding,mutatingwebhookconfiguration,validatingwebhookconfiguration,customresourcedefinition,namespace,apiservice,validatingadmissionpolicy,mutatingadmissionpolicy";
/** The namespaces that the acts before this one put on the mesh. */
const MESHED = ["callers", "frontend", "jobs", "my-app", "prod", "shut", "strict"] as const;
const OURS = /linkerd\.io|hauberk\.io|\/linkerd|hauberk-/;

/** What of the mesh is in the cluster, by name. */
async function remains(world: World): Promise<readonly string[]> {
  const { stdout } = await world.kubectl(["get", CLUSTER_WIDE, "-o", "name"]);
  // The names of the cluster itself (see the cluster's set-up).
  const wide = stdout.split("\n").filter((name) => OURS.test(name) && !name.includes("hauberk:names"));
  const inside = await world.ask([
    "-n",
    "kube-system",
    "get",
    "role,rolebinding,configmap,secret,lease",
    "-o",
    "name",
  ]);
  return [...wide, ...inside.split("\n").filter((name) => OURS.test(name))];
}

export const LEAVING: readonly Act[] = [
  {
    name: "hauberk uninstall | kubectl delete -f -: nothing is left",
    play: async (world) => {
      if ((await remains(world)).length === 0) throw new Error("there was nothing to remove");
      // While there are meshed pods it refuses, and names them.
      const early = await world.shell("hauberk uninstall");
      if (early.code === 0) throw new Error("pods were left without their control plane");
      await world.ask(["delete", "namespace", ...MESHED, "--ignore-not-found", "--timeout=120s"]);
      await line(world, "hauberk uninstall | kubectl delete -f -");
      await eventually(
        "nothing is left",
        async () => {
          const left = await remains(world);
          return left.length === 0 ? true : undefined;
        },
        60_000,
      ).catch(async (error: unknown) => {
        throw new Error(`left: ${(await remains(world)).join(", ")}`, { cause: error });
      });
      // A webhook that is left would refuse this pod.
      const of = "after";
      await world.apply(
        namespace(of, { "linkerd.io/inject": "enabled" }),
        deployment({ name: "web", namespace: of }),
      );
      await world.rolledOut(of, "deploy/web");
      return undefined;
    },
  },
];
