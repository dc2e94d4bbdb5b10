/** A control plane of several replicas on several nodes, pods without a capability, and proxies that change where they are. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { nodePathsOf } from "@hauberk/cluster/place.ts";
import { podNetwork } from "@hauberk/cluster/settings.ts";
import { assertWhole, load, loadUntil, told } from "../asking.ts";
import { deployment, disruptionBudget, namespace, restricted, service, urlOf } from "../objects.ts";
import type { Act } from "../suite.ts";
import { eventually, type World } from "../world.ts";
import { line } from "./installing.ts";

const MESH = "linkerd";
const SHOP = "shop";
const CALLERS = "callers";
const CALLER = { namespace: CALLERS, deployment: "caller" } as const;
const WEB = { name: "web", namespace: SHOP, replicas: 3 } as const;
const URL = urlOf(WEB.name, SHOP);
const RATE = 50;
const COMPONENTS = ["destination", "identity", "proxy-injector"] as const;
/** As long as a pod may try to get past its validator before it counts as held back. */
const HELD_MS = 8_000;

/** Pods of a component, as `NAME NODE` of each. */
async function replicas(world: World, component: string): Promise<readonly string[]> {
  const text = await world.ask([
    "-n",
    MESH,
    "get",
    "pods",
    "-l",
    `linkerd.io/control-plane-component=${component}`,
    "--field-selector=status.phase=Running",
    "-o",
    "jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName};{end}",
  ]);
  return text.split(";").filter((pod) => pod !== "");
}

function added(list: string): string {
  const context = `.items[*].spec.${list}[*].securityContext`;
  return `{${context}.capabilities.add}{${context}.privileged}`;
}

/** Whether any container of a namespace's pods was given a capability, by name. */
async function capabilities(world: World, of: string): Promise<string> {
  const text = await world.ask([
    "-n",
    of,
    "get",
    "pods",
    "-o",
    `jsonpath=${added("initContainers")}${added("containers")}`,
  ]);
  return text.replaceAll("false", "").trim();
}

async function heldBack(world: World): Promise<string> {
  // Every node as it is before the plugin comes, or when another plugin wrote its settings anew.
  await world.ask(["-n", "linkerd-cni", "delete", "daemonset", "linkerd-cni", "--timeout=60s"]);
  for (const node of world.place.nodes)
    await writeFile(join(nodePathsOf(node).network, "10-pods.conflist"), podNetwork(node));
  const early = { name: "early", namespace: SHOP } as const;
  await world.apply(restricted(deployment(early)));
  await sleep(HELD_MS);
  const pod = (): Promise<string> =>
    world.ask([
      "-n",
      SHOP,
      "get",
      "pods",
      "-l",
      "app=early",
      "-o",
      "jsonpath={.items[0].metadata.uid} {.items[0].status.containerStatuses[0].started}",
    ]);
  const before = await pod();
  if (!before.endsWith(" false")) throw new Error(`a pod without redirection was started: ${before}`);
  await line(world, "hauberk install-cni | kubectl apply -f -");
  await world.rolledOut("linkerd-cni", "daemonset/linkerd-cni");
  await world.rolledOut(SHOP, "deploy/early", 180);
  const after = await pod();
  if (after !== before.replace(" false", " true")) throw new Error(`${before} became ${after}`);
  return "the pod waited, and was redirected where it was";
}

/** Kills a replica of every component, while new pods need all three. */
async function killReplicas(world: World): Promise<string> {
  const killed = [];
  for (const component of COMPONENTS) {
    const [first = ""] = await replicas(world, component);
    const [name = ""] = first.split(" ");
    await world.ask(["-n", MESH, "delete", "pod", name, "--force", "--grace-period=0"]);
    killed.push(name);
  }
  await line(world, `kubectl -n ${SHOP} rollout restart deployment ${WEB.name}`);
  await world.rolledOut(SHOP, `deploy/${WEB.name}`, 180);
  await world.ask(["-n", MESH, "wait", "--for=condition=Available", "deployment", "--all", "--timeout=120s"]);
  return `${killed.length} pods were killed, and 3 new ones started meanwhile`;
}

async function underLoad(world: World, what: () => Promise<string>): Promise<string> {
  const done = sleep(2_000).then(what);
  const loaded = await loadUntil(world, CALLER, { url: URL, rate: RATE, done });
  const seen = await done;
  assertWhole(loaded);
  return `${told(loaded)}; ${seen}`;
}

async function upgradeInPlace(world: World): Promise<string> {
  const images = (): Promise<string> =>
    world.ask([
      "-n",
      SHOP,
      "get",
      "pods",
      "-l",
      "app=web",
      "-o",
      "jsonpath={range .items[*]}{.metadata.uid} {.spec.initContainers[1].image} {.status.containerStatuses[0].restartCount};{end}",
    ]);
  const before = await images();
  const next = await world.retagProxy("next");
  const said = await line(world, `hauberk proxy upgrade -n ${SHOP} -l app=web --proxy-version ${next}`);
  const after = await images();
  // The same pods, whose applications were not restarted, with another proxy.
  if (after !== before.replaceAll(/hauberk\/proxy:\S+/g, `hauberk/proxy:${next}`))
    throw new Error(`${before}\n${after}`);
  return said.trim().split("\n").slice(1).join(", ");
}

/** Everything that a command line can be asked about a mesh that runs, through the API server alone. */
async function looked(world: World): Promise<string> {
  const identities = z
    .array(z.object({ pod: z.string(), identity: z.string(), names: z.string() }))
    .parse(JSON.parse(await line(world, `hauberk identity ${SHOP} web -o json`)));
  if (identities.length !== WEB.replicas) throw new Error(`${identities.length} certificates were seen`);
  const wrong = identities.find(({ identity, names }) => !names.split(", ").includes(`DNS:${identity}`));
  if (wrong !== undefined) throw new Error(`${wrong.pod} shows ${wrong.names}`);
  const asking = load(world, CALLER, { url: URL, rate: RATE, seconds: 15 });
  const [stat, edges] = await Promise.all([
    line(world, `hauberk stat ${SHOP} -t 8`),
    line(world, "hauberk edges"),
  ]);
  assertWhole(await asking);
  if (!/^shop +web +3 +100\.00%/m.test(stat)) throw new Error(stat);
  if (!/callers\/caller +shop\/web .*TLSv1\.3.*X25519MLKEM768/.test(edges)) throw new Error(edges);
  await line(world, "hauberk diagnostics endpoints web.shop.svc.cluster.local:8080");
  await line(world, "hauberk diagnostics controller-metrics");
  await line(world, "hauberk check --proxy");
  return `${identities.length} certificates, each with its pod's name`;
}

/** A proxy that may be tapped is, by whoever may read the issuer. */
async function tapped(world: World): Promise<string> {
  const identity = "tap.linkerd-viz.serviceaccount.identity.linkerd.cluster.local";
  await line(world, `hauberk upgrade --set proxy.tapServiceName=${identity} | kubectl apply -f -`);
  // The injector looks at its settings every ten seconds.
  await sleep(15_000);
  await line(world, `kubectl -n ${SHOP} rollout restart deployment ${WEB.name}`);
  await world.rolledOut(SHOP, `deploy/${WEB.name}`, 180);
  const asking = load(world, CALLER, { url: URL, rate: RATE, seconds: 15 });
  const lines = await line(world, `timeout 60 hauberk viz tap ${SHOP} web --limit 3`);
  await asking;
  const requests = lines.split("\n").filter((one) => one.startsWith("req ") && one.includes("tls=true"));
  if (requests.length === 0) throw new Error(`nothing was tapped: ${lines}`);
  return requests[0] ?? "";
}

/** A second control plane, chosen by a namespace, promoted and removed. */
async function revised(world: World): Promise<string> {
  const available = [
    "-n",
    MESH,
    "wait",
    "--for=condition=Available",
    "deployment",
    "--all",
    "--timeout=240s",
  ];
  const restart = async (): Promise<void> => {
    await line(world, `kubectl -n ${SHOP} rollout restart deployment ${WEB.name}`);
    await world.rolledOut(SHOP, `deploy/${WEB.name}`, 180);
  };
  await line(world, "hauberk install --revision canary --set controllerReplicas=1 | kubectl apply -f -");
  for (const component of COMPONENTS) await world.rolledOut(MESH, `deploy/linkerd-${component}-canary`, 240);
  await line(world, `kubectl label namespace ${SHOP} linkerd.io/rev=canary`);
  await restart();
  const pods = await world.ask([
    "-n",
    SHOP,
    "get",
    "pods",
    "-l",
    "linkerd.io/rev=canary,app=web",
    "-o",
    "name",
  ]);
  const early = await world.shell("hauberk uninstall --revision canary");
  if (early.code === 0) throw new Error("a revision was taken from under its pods");
  await line(world, "hauberk upgrade | kubectl apply -f -");
  await world.ask(available);
  await line(world, `kubectl label namespace ${SHOP} linkerd.io/rev-`);
  await restart();
  await line(world, "hauberk uninstall --revision canary | kubectl delete -f -");
  const left = await world.ask([
    "-n",
    MESH,
    "get",
    "deployments,services,configmaps,secrets,roles,rolebindings",
    "-o",
    "name",
  ]);
  if (/canary/.test(left)) throw new Error(`left: ${left}`);
  return `${pods.split("\n").length} pods were the canary's for a while`;
}

export const OPERATING: readonly Act[] = [
  {
    name: "hauberk install-cni | kubectl apply -f -",
    play: async (world) => {
      await line(world, "hauberk install-cni | kubectl apply -f -");
      await world.rolledOut("linkerd-cni", "daemonset/linkerd-cni");
      return undefined;
    },
  },
  {
    name: "hauberk install --ha --linkerd-cni-enabled | kubectl apply -f -",
    play: async (world) => {
      await line(world, "hauberk install --crds | kubectl apply -f -");
      await line(world, "hauberk install --ha --linkerd-cni-enabled | kubectl apply -f -");
      await line(world, "hauberk check --linkerd-cni-enabled --wait 240");
      for (const component of COMPONENTS) {
        const pods = await eventually(`three replicas of ${component}`, async () => {
          const found = await replicas(world, component);
          return found.length === 3 ? found : undefined;
        });
        const nodes = new Set(pods.map((pod) => pod.split(" ")[1]));
        if (nodes.size !== 3) throw new Error(`${component} is on ${[...nodes].join(", ")}`);
      }
      const policies = await world.ask([
        "get",
        "mutatingwebhookconfigurations,validatingwebhookconfigurations",
        "-l",
        "linkerd.io/control-plane-ns=linkerd",
        "-o",
        "jsonpath={.items[*].webhooks[*].failurePolicy}",
      ]);
      if (policies !== "Fail Fail Fail") throw new Error(`webhooks' failure policies are ${policies}`);
      const budgets = await world.ask(["-n", MESH, "get", "poddisruptionbudgets", "-o", "name"]);
      if (budgets.split("\n").length !== 3) throw new Error(`disruption budgets: ${budgets}`);
      return "3 replicas of each component on 3 nodes";
    },
  },
  {
    name: "a namespace of the restricted Pod Security Standard is meshed without a capability",
    play: async (world) => {
      await world.apply(
        namespace(
          SHOP,
          { "linkerd.io/inject": "enabled" },
          { "pod-security.kubernetes.io/enforce": "restricted" },
        ),
        restricted(deployment(WEB)),
        disruptionBudget(WEB.name, SHOP),
        service(WEB.name, SHOP, { app: WEB.name }),
        namespace(CALLERS, { "linkerd.io/inject": "enabled" }),
        deployment({ name: CALLER.deployment, namespace: CALLERS, node: world.place.first.name }),
      );
      await world.rolledOut(SHOP, `deploy/${WEB.name}`);
      await world.rolledOut(CALLERS, `deploy/${CALLER.deployment}`);
      const found = await capabilities(world, SHOP);
      if (found !== "") throw new Error(`there is a capability: ${found}`);
      const loaded = await load(world, CALLER, { url: URL, rate: RATE, seconds: 5 });
      assertWhole(loaded);
      const metrics = await line(world, `hauberk diagnostics proxy-metrics -n ${SHOP} deploy/${WEB.name}`);
      if (!/^request_total\{.*direction="inbound".*tls="true"/m.test(metrics))
        throw new Error("no inbound request was counted with tls=true");
      return told(loaded);
    },
  },
  { name: "P-06: a pod that is there before the CNI plugin waits for it", play: heldBack },
  {
    name: "a replica of every component is killed while pods start: no request fails",
    play: (world) => underLoad(world, () => killReplicas(world)),
  },
  {
    name: "B-03: hauberk proxy upgrade changes proxies where they run: no request fails",
    play: (world) => underLoad(world, () => upgradeInPlace(world)),
  },
  {
    name: "a second control plane is chosen by a label, promoted and removed: no request fails",
    play: (world) => underLoad(world, () => revised(world)),
  },
  { name: "identity, stat, edges, diagnostics and check --proxy, through the API server", play: looked },
  { name: "viz tap, through the API server", play: tapped },
];
