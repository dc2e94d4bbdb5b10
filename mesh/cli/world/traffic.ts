/** Where the traffic that a command speaks of comes from: a file of edges, or the proxies of a running mesh. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { AUTHORIZATION_FAMILIES, observedAt, type ObservedEdge } from "@hauberk/mesh/policy/observed.ts";
import { parseExposition } from "@hauberk/viz/exposition.ts";
import type { Looked } from "./command.ts";
import { meshedPods, scrape } from "./scrape.ts";

/** As `hauberk policy edges -o json` prints them. */
const Edges = z.array(
  z.object({
    namespace: z.string(),
    pod: z.string(),
    port: z.number().int(),
    client: z.string(),
    protocol: z.enum(["http", "tcp"]),
    route: z.string(),
    allowed: z.number(),
    denied: z.number(),
  }),
);

/** What was seen, and which proxies said nothing. */
export interface Traffic {
  readonly edges: readonly ObservedEdge[];
  readonly silent: readonly string[];
}

/** Reads a file of edges. */
export async function readEdges(path: string): Promise<readonly ObservedEdge[]> {
  return Edges.parse(JSON.parse(await readFile(path, "utf8")));
}

/** Asks the proxies of a running mesh; nothing of manifests, which have none. */
export async function observe({ world, pods }: Looked, namespace: string | undefined): Promise<Traffic> {
  if (pods === undefined) return { edges: [], silent: [] };
  const targets = meshedPods(world.snapshot, namespace).map(({ meta }) => meta);
  const answers = await scrape(targets, pods.ask);
  const edges = answers.flatMap(({ namespace: of, name, answer }) =>
    answer.ok
      ? observedAt(
          parseExposition(answer.text, (family) => AUTHORIZATION_FAMILIES.has(family)),
          {
            namespace: of,
            name,
          },
        )
      : [],
  );
  const silent = answers.flatMap(({ namespace: of, name, answer }) =>
    answer.ok ? [] : [`${of}/${name}: ${answer.why}`],
  );
  return { edges, silent };
}
