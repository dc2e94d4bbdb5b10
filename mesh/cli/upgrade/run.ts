/** An upgrade from a channel, on a cluster: the world that `flow.ts` decides about. */
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline/promises";
import { KEPT, objectsOf, readInstalled as readValues } from "@hauberk/mesh/install/installed.ts";
import { kindsManifests, upgradeManifests } from "@hauberk/mesh/install/manifests.ts";
import { printObjects } from "@hauberk/mesh/install/output.ts";
import { mergeTrees, parseValues, type Tree } from "@hauberk/mesh/install/values/values.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import { readTrust } from "@hauberk/release/attest/keys.ts";
import { follow } from "@hauberk/release/channel/follow.ts";
import { followCopy } from "@hauberk/release/airgap/follow.ts";
import { contentsOf, type Release } from "@hauberk/release/channel/release.ts";
import { repositoryOf, verifyDescribed } from "@hauberk/release/verify/release.ts";
import { z } from "zod";
import { AuditStore } from "../audit/store.ts";
import { pinned } from "../bundle.ts";
import { migrateKinds } from "../upgrade-preflight.ts";
import { applyAll, ApplyError, takeBack, waitRolledOut, type Applied } from "./apply.ts";
import { approve, digestsOf } from "./approve.ts";
import { PartlyApplied, upgrade, type Ended, type Wanted, type World } from "./flow.ts";
import { CLI_ARCHIVE, handOver, wasHandedOver } from "./handover.ts";
import { readInstalled } from "./installed.ts";
import { clusterMemory } from "./memory.ts";

/** How long the control plane may take to run the new version. */
const ROLLOUT_MS_MAX = 300_000;

/** What the command was told. */
export interface ChannelUpgrade extends Wanted {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Where the channel's repository is: an address, or the folder of a copy that nobody renews. */
  readonly repository: { readonly url: string } | { readonly copy: string };
  /** File of a root document, needed while the cluster remembers none. */
  readonly root: string | undefined;
  /** A mirror of the images, instead of where the release says that they lie. */
  readonly registry: string | undefined;
  readonly isPlainHttp: boolean;
  readonly isAgreed: boolean;
  readonly cliVersion: string;
  /** What this program was called with, for the one that it may hand over to. */
  readonly words: readonly string[];
  /** Values that change with the upgrade. */
  readonly given: Tree;
  /** What is not well, empty if all is. */
  readonly check: () => Promise<readonly string[]>;
  readonly say: (line: string) => void;
}

const SELF_REVIEWS = { group: "authentication.k8s.io", version: "v1", plural: "selfsubjectreviews" };
const Self = z.object({ status: z.object({ userInfo: z.object({ username: z.string() }) }) });

/** Who acts, as the API server knows them. */
async function actorOf(client: KubeClient): Promise<string> {
  const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  return Self.parse(await client.create({ type: SELF_REVIEWS }, review)).status.userInfo.username;
}

async function agree(isAgreed: boolean): Promise<boolean> {
  if (isAgreed) return true;
  if (!process.stdin.isTTY) throw new Error("nobody is there to agree to the plan: --yes agrees beforehand");
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await terminal.question("Upgrade? [y/N] ")).trim().toLowerCase() === "y";
  } finally {
    terminal.close();
  }
}

async function objectsFor(asked: ChannelUpgrade, release: Release, registry: string) {
  const { client, namespace, given } = asked;
  const kept = await Promise.all(
    KEPT.map(({ kind, name }) =>
      client.find({ type: kind === "Secret" ? RESOURCES.secrets : RESOURCES.configMaps, namespace, name }),
    ),
  );
  const { values } = readValues(kept.filter((object) => object !== undefined));
  const merged = parseValues(mergeTrees(mergeTrees(values, pinned(release, registry)), given));
  const place = { namespace, version: release.version };
  return {
    kinds: objectsOf(printObjects(kindsManifests(place), "yaml")),
    rest: objectsOf(printObjects(upgradeManifests(place, merged, given), "yaml")),
  };
}

async function verifyParts(
  asked: ChannelUpgrade,
  release: Release,
  { trustText, names }: { readonly trustText: string; readonly names: readonly string[] },
) {
  const trust = readTrust(trustText);
  if (trust.gate === undefined) return ["the channel names no gate"];
  const { isPlainHttp, registry } = asked;
  const images = await verifyDescribed(
    release,
    { where: registry ?? release.repository, isPlainHttp },
    trust,
    names,
  );
  const refused: string[] = [];
  for (const { name, checks } of images) {
    for (const { part, demand, outcome } of checks) {
      if (!outcome.ok) refused.push(`${name} ${part} ${demand}: ${outcome.refusal}: ${outcome.detail}`);
    }
    asked.say(
      `${refused.length === 0 ? "√" : "×"} ${name} ${contentsOf(release)[name] ?? ""}: ${checks.length} demands`,
    );
  }
  return refused;
}

/** Lets the release's own program go on, unless that is what was just done. */
async function goOn(asked: ChannelUpgrade, release: Release): Promise<number | undefined> {
  const digest = release.artifacts[CLI_ARCHIVE];
  if (digest === undefined || wasHandedOver(release.version)) return undefined;
  const where = asked.registry ?? release.repository;
  const store = repositoryOf({ where, tag: digest, isPlainHttp: asked.isPlainHttp }, CLI_ARCHIVE);
  try {
    asked.say(`hauberk ${release.version} goes on`);
    return await handOver(store, release, asked.words);
  } finally {
    await store.close();
  }
}

async function approveProxy(asked: ChannelUpgrade, release: Release): Promise<void> {
  const digest = release.images["proxy"];
  if (digest === undefined) return;
  const where = asked.registry ?? release.repository;
  const store = repositoryOf({ where, tag: digest, isPlainHttp: asked.isPlainHttp }, "proxy");
  try {
    const digests = await digestsOf(store, digest);
    await approve(asked.client, asked.namespace, { version: release.version, digests });
  } finally {
    await store.close();
  }
}

async function apply(asked: ChannelUpgrade, release: Release): Promise<Applied> {
  const { client } = asked;
  const { kinds, rest } = await objectsFor(asked, release, asked.registry ?? release.repository);
  let done: Applied = [];
  try {
    done = await applyAll(client, kinds);
    await migrateKinds(client, (line) => asked.say(line));
    await approveProxy(asked, release);
    return [...done, ...(await applyAll(client, rest))];
  } catch (error) {
    const applied = error instanceof ApplyError ? [...done, ...error.applied] : done;
    throw new PartlyApplied(error instanceof Error ? error.message : String(error), applied, {
      cause: error,
    });
  }
}

async function checkAfter({ client, namespace, check }: ChannelUpgrade): Promise<readonly string[]> {
  try {
    await waitRolledOut(client, namespace, new Date(Date.now() + ROLLOUT_MS_MAX));
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
  return check();
}

/** Follows the channel and upgrades the cluster. */
export async function upgradeFromChannel(asked: ChannelUpgrade): Promise<Ended> {
  const { client, namespace, repository, channel: name } = asked;
  const root = asked.root === undefined ? undefined : await readFile(asked.root);
  const memory = clusterMemory(client, namespace);
  const audit = new AuditStore(client, namespace);
  const world: World<Applied> = {
    cliVersion: asked.cliVersion,
    say: asked.say,
    installed: () => readInstalled(client, namespace),
    follow: (wanted) =>
      "url" in repository
        ? follow({ url: repository.url, name, memory, root }, wanted)
        : followCopy({ dir: repository.copy, name, memory, root, now: new Date() }, wanted),
    verify: (release, trustText, names) => verifyParts(asked, release, { trustText, names }),
    handOver: (release) => goOn(asked, release),
    agree: () => agree(asked.isAgreed),
    apply: (release) => apply(asked, release),
    check: () => checkAfter(asked),
    takeBack: (applied) => takeBack(client, applied),
    record: async (act) => {
      await audit.append({ actor: await actorOf(client), act, at: new Date() });
    },
  };
  return upgrade(world, asked);
}
