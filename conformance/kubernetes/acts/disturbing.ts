/** What an operator does, and what befalls a cluster, under a load of which no request may fail. */
import { setTimeout as sleep } from "node:timers/promises";
import { assertWhole, load, told } from "../asking.ts";
import { eventually, type World } from "../world.ts";
import type { Act } from "../suite.ts";
import { APP, CALLER, line, WEB } from "./installing.ts";

const RATE = 50;
/** Before anything happens, and after it. */
const MARGIN_S = 2;
const MESH = "linkerd";

/** Plays `what` under load; `seconds` is how long it may take. */
function underLoad(name: string, seconds: number, what: (world: World) => Promise<string | undefined>): Act {
  return {
    name: `${name}: no request fails`,
    play: async (world) => {
      const loading = load(world, CALLER, { url: WEB, rate: RATE, seconds: seconds + 2 * MARGIN_S });
      loading.catch(() => undefined);
      await sleep(MARGIN_S * 1_000);
      const began = performance.now();
      const seen = await what(world);
      const took = (performance.now() - began) / 1_000;
      const loaded = await loading;
      assertWhole(loaded);
      if (took > seconds) throw new Error(`it took ${took.toFixed(0)} s and was loaded for ${seconds} s`);
      return [`in ${took.toFixed(0)} s`, told(loaded), ...(seen === undefined ? [] : [seen])].join("; ");
    },
  };
}

/** Waits until every deployment of the control plane is whole. */
async function meshIsWhole(world: World): Promise<void> {
  await world.ask(["-n", MESH, "wait", "--for=condition=Available", "deployment", "--all", "--timeout=150s"]);
}

async function drain(world: World): Promise<string | undefined> {
  const node = world.place.nodes.at(-1)?.name ?? "";
  await line(
    world,
    `kubectl drain ${node} --ignore-daemonsets --delete-emptydir-data --timeout=100s --pod-selector '!job-name'`,
  );
  const left = await world.ask([
    "get",
    "pods",
    "-A",
    `--field-selector=spec.nodeName=${node},status.phase=Running`,
    "-o",
    "name",
  ]);
  await world.ask(["uncordon", node]);
  if (left !== "") throw new Error(`${node} is drained and still runs ${left}`);
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

export const DISTURBING: readonly Act[] = [
  underLoad("a rolling restart", 90, async (world) => {
    await line(world, `kubectl -n ${APP.namespace} rollout restart deployment ${APP.name}`);
    await world.rolledOut(APP.namespace, `deploy/${APP.name}`, 85);
    return undefined;
  }),
  underLoad("a control plane that is killed", 60, async (world) => {
    await world.ask(["-n", MESH, "delete", "pods", "--all", "--force", "--grace-period=0"]);
    await sleep(1_000);
    await meshIsWhole(world);
    return undefined;
  }),
  underLoad("a node that is drained", 110, drain),
  underLoad("trust that is rotated", 150, async (world) => {
    const [before, uids] = [await trusted(world), await restarts(world)];
    const said = await line(world, "hauberk trust rotate");
    await eventually(
      "the roots are others",
      async () => ((await trusted(world)) === before ? undefined : true),
      30_000,
    );
    if ((await restarts(world)) !== uids) throw new Error("pods were restarted");
    return said.trim().split("\n").at(-1);
  }),
  underLoad("an issuer that is rotated", 60, async (world) => {
    const before = await issuer(world);
    await line(world, "hauberk trust rotate --issuer");
    await eventually(
      "the issuer is another",
      async () => ((await issuer(world)) === before ? undefined : true),
      30_000,
    );
    return undefined;
  }),
  underLoad("hauberk upgrade", 100, async (world) => {
    await line(world, "hauberk upgrade | kubectl apply -f -");
    await meshIsWhole(world);
    await line(world, "hauberk check");
    return undefined;
  }),
];
