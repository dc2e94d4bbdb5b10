/** The commands that a user types, as they are written in every guide. */
import { setTimeout as sleep } from "node:timers/promises";
import { assertWhole, load, told } from "../asking.ts";
import { deployment, disruptionBudget, namespace, service, urlOf } from "../objects.ts";
import { eventually, type World } from "../world.ts";
import type { Act } from "../suite.ts";

const MY_APP = "my-app";
const CALLERS = "callers";
export const CALLER = { namespace: CALLERS, deployment: "caller" } as const;
export const WEB = urlOf("web", MY_APP);
export const APP = { name: "web", namespace: MY_APP, replicas: 3 } as const;

/** Runs a line. @throws with what it said unless it ends with 0. */
export async function line(world: World, text: string): Promise<string> {
  const { code, stdout, stderr } = await world.shell(text);
  if (code !== 0) throw new Error(`${text}: ${code}\n${stdout.slice(-4_000)}\n${stderr.slice(-4_000)}`);
  return stdout;
}

/** One act that is a line. */
function typed(text: string): Act {
  return {
    name: text,
    play: async (world) => {
      await line(world, text);
      return undefined;
    },
  };
}

/** Which pods of a namespace have a proxy, and which have none. */
async function meshedPods(
  world: World,
  of: string,
): Promise<{ readonly meshed: number; readonly plain: number }> {
  const template =
    "{range .items[?(@.status.phase=='Running')]}{.metadata.name}:{.spec.initContainers[*].name},{.spec.containers[*].name}:{.metadata.deletionTimestamp}{'\\n'}{end}";
  const text = await world.ask(["-n", of, "get", "pods", "-o", `jsonpath=${template}`]);
  const staying = text.split("\n").filter((pod) => pod.endsWith(":"));
  const meshed = staying.filter((pod) => pod.includes("linkerd-proxy")).length;
  return { meshed, plain: staying.length - meshed };
}

async function waitMeshed(world: World, of: string): Promise<string> {
  return eventually(`every pod of ${of} has a proxy`, async () => {
    const { meshed, plain } = await meshedPods(world, of);
    return plain === 0 && meshed > 0 ? `${meshed} of ${meshed + plain} pods have a proxy` : undefined;
  });
}

/** Installation, and a namespace that is put on the mesh. */
export const INSTALLING: readonly Act[] = [
  typed("hauberk check --pre"),
  typed("hauberk install --crds | kubectl apply -f -"),
  typed("hauberk install | kubectl apply -f -"),
  typed("hauberk check"),
  {
    name: "kubectl annotate namespace my-app linkerd.io/inject=enabled",
    play: async (world) => {
      const caller = { name: CALLER.deployment, namespace: CALLERS, node: world.place.first.name };
      await world.apply(
        namespace(MY_APP),
        deployment(APP),
        disruptionBudget(APP.name, MY_APP),
        service(APP.name, MY_APP, { app: APP.name }),
        namespace(CALLERS, { "linkerd.io/inject": "enabled" }),
        deployment(caller),
      );
      await world.rolledOut(MY_APP, "deploy/web");
      await world.rolledOut(CALLERS, "deploy/caller");
      const { meshed, plain } = await meshedPods(world, MY_APP);
      if (meshed !== 0) throw new Error(`${meshed} pods of a namespace that did not ask have a proxy`);
      await line(world, "kubectl annotate namespace my-app linkerd.io/inject=enabled");
      return `${plain} pods without a proxy until they are restarted`;
    },
  },
  {
    name: "kubectl -n my-app rollout restart deployment",
    play: async (world) => {
      await line(world, "kubectl -n my-app rollout restart deployment");
      await world.rolledOut(MY_APP, "deploy/web");
      return waitMeshed(world, MY_APP);
    },
  },
  {
    name: "what is meshed talks over mutual TLS, and nothing fails",
    play: async (world) => {
      await sleep(1_000);
      const loaded = await load(world, CALLER, { url: WEB, rate: 50, seconds: 5 });
      assertWhole(loaded);
      if (Object.keys(loaded.pods).length !== APP.replicas) throw new Error("not every pod was asked");
      const metrics = await line(world, "hauberk diagnostics proxy-metrics -n my-app deploy/web");
      const secured = metrics
        .split("\n")
        .some((text) => text.startsWith("request_total{") && /direction="inbound".*tls="true"/.test(text));
      if (!secured) throw new Error("no inbound request of web was counted with tls=true");
      return told(loaded);
    },
  },
];
