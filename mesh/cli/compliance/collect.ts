/** Gathers everything that a report is judged by. Never rejects for a fact that cannot be had: that is a fact, too. */
import type { Evidence } from "@hauberk/compliance/evidence/evidence.ts";
import type { Looked, Place } from "../world/command.ts";
import { cliVersion } from "../version.ts";
import { learn } from "./learn.ts";
import { seeCrypto } from "./look.ts";
import {
  learnAuthorities,
  learnGuards,
  learnRecord,
  learnRotation,
  learnWorkloads,
  type Scope,
} from "./mesh-facts.ts";
import { learnRelease, type AskedRelease } from "./release-facts.ts";

/** What is looked at besides the mesh. */
export interface Asked {
  readonly scope: Scope;
  readonly release: AskedRelease | undefined;
  /** An exported audit record. */
  readonly record: { readonly name: string; readonly text: string } | undefined;
}

function nameOf(place: Place): string {
  return place.type === "standalone" ? place.paths.dir : "cluster";
}

/** Asks the mesh and the release. */
export async function collect(
  looked: Looked & { readonly place: Place },
  { scope, release, record }: Asked,
): Promise<Evidence> {
  const { world, pods, place } = looked;
  const { namespace } = scope;
  const crypto = await learn({ query: "GET /metrics of every proxy", object: nameOf(place) }, async () => {
    if (pods === undefined) throw new Error("there is no way to the proxies");
    const { inventory, answers } = await seeCrypto({ world, pods }, undefined);
    if (answers.length === 0) throw new Error("no pod has a proxy");
    return { value: inventory, raw: answers };
  });
  const [workloads, guards, authorities, rotation, chain, shipped] = await Promise.all([
    learnWorkloads(world, place, scope),
    learnGuards(world, scope),
    learnAuthorities(place, namespace),
    learnRotation(place, namespace),
    learnRecord(place, { namespace, file: record }),
    learnRelease(release),
  ]);
  return {
    format: "hauberk-evidence/v1",
    at: new Date().toISOString(),
    collector: { program: "hauberk", version: cliVersion() },
    system: { kind: place.type, name: nameOf(place), namespace },
    crypto,
    workloads,
    guards,
    ...authorities,
    rotation,
    record: chain,
    release: shipped,
  };
}
