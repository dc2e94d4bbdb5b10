/** What an operator does, and what befalls a cluster, under a load of which no request may fail. */
import { setTimeout as sleep } from "node:timers/promises";
import { assertWhole, loadUntil, told } from "../asking.ts";
import { eventually, type World } from "../world.ts";
import type { Act } from "../suite.ts";
import { APP, CALLER, line, WEB } from "./installing.ts";

const RATE = 50;
/** Before anything happens. */
const BEFORE_MS = 2_000;
const MESH = "linkerd";

/** Plays `what` under load. */
function underLoad(name: string, what: (world: World) => Promise<string | undefined>): Act {
  return {
    name: `${name}: no request fails`,
    play: async (world) => {
      const done = sleep(BEFORE_MS).then(() => what(world));
      const loaded = await loadUntil(world, CALLER, { url: WEB, rate: RATE, done });
      const seen = await done;
      assertWhole(loaded);
      return [told(loaded), ...(seen === undefined ? [] : [seen])].join("; ");
    },
  };
}

/** Waits until every deployment of the control plane is whole. */
async function meshIsWhole(world: World): Promise<void> {
  await world.ask(["-n", MESH, "wait", "--for=condition=Available", "deployment", "--all", "--timeout=150s"]);
}

async function drain(world: World): Promise<string | undefined> {
  const node = world.place.nodes.at(-1)?.name ?? "";
  try {
    await line(
      world,
      `kubectl drain ${node} --ignore-daemonsets --delete-emptydir-data --timeout=100s --pod-selector '!job-name'`,
    );
    const where = `--field-selector=spec.nodeName=${node},status.phase=Running`;
    const left = await world.ask(["get", "pods", "-A", where, "-o", "name"]);
    if (left !== "") throw new Error(`${node} is drained and still runs ${left}`);
  } finally {
    await world.ask(["uncordon", node]);
  }
  return `${node} was empty`;
}

/** The fingerprint of the roots that proxies are told to trust. */
function trusted(world: World): Promise<string> {
  return world.ask([
    "-n",
    MESH,
    "get",
    "configmap",
    "linkerd-identity-trust-roots",
    "-o",
    "jsonpath={.data.ca-bundle\\.crt}",
  ]);
}

function issuer(world: World): Promise<string> {
  return world.ask(["-n", MESH, "get", "secret", "linkerd-identity-issuer", "-o", "jsonpath={.data}"]);
}

/** The pods of the application, which nothing about trust may restart. */
async function restarts(world: World): Promise<string> {
  return world.ask([
    "-n",
    APP.namespace,
    "get",
    "pods",
    "-o",
    "jsonpath={range .items[*]}{.metadata.uid} {.status.initContainerStatuses[*].restartCount} {.status.containerStatuses[*].restartCount};{end}",
  ]);
}

/** Lets a new root be used as soon as every proxy has proven that it trusts it: the usual pauses are for caches of others. */
async function hurryTrust(world: World): Promise<void> {
  const path = "/spec/template/spec/containers/1/args/-";
  const patch = JSON.stringify([{ op: "add", path, value: "--trust-spread=5s" }]);
  await world.ask(["-n", MESH, "patch", "deployment", "linkerd-identity", "--type=json", "-p", patch]);
  await world.rolledOut(MESH, "deploy/linkerd-identity");
}

export const DISTURBING: readonly Act[] = [
  underLoad("a rolling restart", async (world) => {
    await line(world, `kubectl -n ${APP.namespace} rollout restart deployment ${APP.name}`);
    await world.rolledOut(APP.namespace, `deploy/${APP.name}`, 85);
    return undefined;
  }),
  underLoad("a control plane that is killed", async (world) => {
    await world.ask(["-n", MESH, "delete", "pods", "--all", "--force", "--grace-period=0"]);
    await sleep(1_000);
    await meshIsWhole(world);
    return undefined;
  }),
  underLoad("a node that is drained", drain),
  underLoad("a root and an issuer that are replaced", async (world) => {
    const [before, below, uids] = [await trusted(world), await issuer(world), await restarts(world)];
    await hurryTrust(world);
    const said = await line(world, "hauberk trust rotate --timeout 240");
    await eventually(
      "the roots are others",
      async () => ((await trusted(world)) === before ? undefined : true),
      30_000,
    );
    if ((await issuer(world)) === below) throw new Error("the issuer is the same");
    if ((await restarts(world)) !== uids) throw new Error("pods were restarted");
    return said.trim().split("\n").at(-1);
  }),
  underLoad("hauberk upgrade", async (world) => {
    await line(world, "hauberk upgrade | kubectl apply -f -");
    await meshIsWhole(world);
    await line(world, "hauberk check");
    return undefined;
  }),
];
