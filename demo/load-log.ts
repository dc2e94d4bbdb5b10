import { readFile } from "node:fs/promises";
import { z } from "zod";

const Page = z.object({
  ok: z.number().int(),
  failed: z.number().int(),
  slowestMs: z.number(),
  versions: z.record(z.string(), z.number().int()),
  errors: z.record(z.string(), z.number().int()),
});
const Second = z.object({
  at: z.string(),
  inFlight: z.number().int(),
  pages: z.record(z.string(), Page),
  prices: z.object({ messages: z.number().int(), disconnects: z.number().int() }),
});
/** One line of the load generator: what came back within one second. */
export type Second = z.infer<typeof Second>;

/** What the generator saw over some seconds, for one page or all of them. */
export interface Seen {
  readonly ok: number;
  readonly failed: number;
  readonly slowestMs: number;
  /** Answers by the version of payments that gave them. */
  readonly versions: ReadonlyMap<string, number>;
  readonly errors: readonly string[];
  readonly priceMessages: number;
  readonly priceDisconnects: number;
  readonly seconds: number;
}

/** Lines of the generator's log; what is not one is skipped: its start may say other things. */
export function parseLoadLog(text: string): readonly Second[] {
  return text.split("\n").flatMap((line) => {
    if (!line.startsWith("{")) return [];
    try {
      const parsed = Second.safeParse(JSON.parse(line));
      return parsed.success ? [parsed.data] : [];
    } catch {
      // The last line is still being written.
      return [];
    }
  });
}

/** Adds up the seconds that ended in (`fromMs`, `toMs`]. */
export function seen(
  seconds: readonly Second[],
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
  page?: string,
): Seen {
  const inside = seconds.filter(({ at }) => Date.parse(at) > fromMs && Date.parse(at) <= toMs);
  const pages = inside.flatMap((second) =>
    Object.entries(second.pages).flatMap(([path, counts]) =>
      page === undefined || path === page ? [counts] : [],
    ),
  );
  const versions = new Map<string, number>();
  for (const [version, count] of pages.flatMap((one) => Object.entries(one.versions)))
    versions.set(version, (versions.get(version) ?? 0) + count);
  return {
    ok: pages.reduce((sum, one) => sum + one.ok, 0),
    failed: pages.reduce((sum, one) => sum + one.failed, 0),
    slowestMs: Math.max(0, ...pages.map((one) => one.slowestMs)),
    versions,
    errors: [...new Set(pages.flatMap((one) => Object.keys(one.errors)))],
    priceMessages: inside.reduce((sum, { prices }) => sum + prices.messages, 0),
    priceDisconnects: inside.reduce((sum, { prices }) => sum + prices.disconnects, 0),
    seconds: inside.length,
  };
}

/** The generator's log so far. */
export async function readLoadLog(path: string): Promise<readonly Second[]> {
  try {
    return parseLoadLog(await readFile(path, "utf8"));
  } catch {
    // The generator has not started yet.
    return [];
  }
}
