/**
 * `config.linkerd.io/*` of a workload, its namespace and the mesh, read as one: who says something later counts (mesh, then
 * namespace, then pod). What cannot be read is a problem, and the word of whoever comes before holds. Pure.
 */
import { z } from "zod";

type Annotations = Readonly<Record<string, string>>;

const STABLE = "config.linkerd.io/";
const BETA = "config.beta.linkerd.io/";
const ALPHA = "config.alpha.linkerd.io/";

/** An annotation that cannot be obeyed. */
export interface AnnotationProblem {
  readonly annotation: string;
  readonly message: string;
  /** Whether to go on without it would open what it was meant to close. */
  readonly closes?: true;
}

/** Annotations by which a workload is protected: one that cannot be read must not be as if it were not there. */
const CLOSING = new Set(["default-inbound-policy", "proxy-require-identity-inbound-ports"]);

/** A port as text. */
export const PortText = z
  .string()
  .regex(/^\d{1,5}$/)
  .transform(Number)
  .pipe(z.number().int().min(1).max(65_535));

/** A list of ports and ranges. Names that `named` knows become their numbers. */
export function portList(named: ReadonlyMap<string, number> = new Map()): z.ZodType<string> {
  return z
    .string()
    .transform((text) =>
      text
        .replaceAll(" ", "")
        .split(",")
        .map((entry) => named.get(entry)?.toString() ?? entry)
        .join(","),
    )
    .refine(
      (text) => text === "" || text.split(",").every(isPortRange),
      "is no list of ports and ranges, as 80,8000-8010",
    );
}

export const PortList = portList();
export const Duration = z.string().regex(/^(\d+(ms|s|m|h|d))+$/, "is no duration, as 100ms, 10s or 5m");
export const Flag = z.enum(["true", "false"], { error: "is neither true nor false" });
export const Enabled = z.enum(["enabled", "disabled"], { error: "is neither enabled nor disabled" });
export const Quantity = z
  .string()
  .regex(/^\d+(\.\d+)?([munkMGTPE]|[KMGTPE]i|e\d+)?$/, "is no quantity, as 100m, 0.5 or 64Mi");

function isPortRange(text: string): boolean {
  const [low, high = low, ...more] = text.split("-").map((port) => PortText.safeParse(port).data);
  return low !== undefined && high !== undefined && low <= high && more.length === 0;
}

/** Reads `config.linkerd.io/*`, collects what cannot be obeyed, and knows which names nobody asked for. */
export class AnnotationReader {
  readonly problems: AnnotationProblem[] = [];
  /** From the one that counts least. The mesh's own words are names without a prefix. */
  readonly #layers: readonly Annotations[];
  readonly #asked = new Set<string>();

  constructor(
    mesh: Annotations,
    { namespace, pod }: { readonly namespace: Annotations; readonly pod: Annotations },
  ) {
    const prefixed = Object.entries(mesh).map(([name, value]) => [STABLE + name, value] as const);
    this.#layers = [Object.fromEntries(prefixed), namespace, pod];
  }

  /**
   * The value of `config.linkerd.io/NAME`. The older spellings `config.beta` and `config.alpha` count where no layer but the
   * mesh has the stable one.
   */
  read<T>(name: string, schema: z.ZodType<T>): T | undefined {
    this.#asked.add(name);
    const [mesh = {}, ...said] = this.#layers;
    for (const prefix of [STABLE, BETA, ALPHA]) {
      for (const layer of said.toReversed()) {
        const value = this.#parse(layer, prefix + name, schema);
        if (value !== undefined) return value;
      }
    }
    return this.#parse(mesh, STABLE + name, schema);
  }

  /** The same name in every layer that has it, the one that counts least first. */
  each<T>(name: string, schema: z.ZodType<T>): readonly T[] {
    this.#asked.add(name);
    return this.#layers.flatMap((layer) => this.#parse(layer, STABLE + name, schema) ?? []);
  }

  /** Reports every name that nobody has read and that is not `elsewhere`. */
  finish(elsewhere: ReadonlySet<string>): void {
    const names = this.#layers.slice(1).flatMap((layer) => Object.keys(layer));
    for (const annotation of new Set(names)) {
      if (!annotation.startsWith(STABLE)) continue;
      const name = annotation.slice(STABLE.length);
      if (this.#asked.has(name) || elsewhere.has(name)) continue;
      this.problems.push({ annotation, message: "is no annotation that this version knows" });
    }
  }

  #parse<T>(layer: Annotations, annotation: string, schema: z.ZodType<T>): T | undefined {
    const value = layer[annotation];
    if (value === undefined) return undefined;
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    const message = parsed.error.issues[0]?.message ?? "is not understood";
    const closes = CLOSING.has(annotation.slice(STABLE.length)) ? ({ closes: true } as const) : {};
    this.problems.push({ annotation, message, ...closes });
    return undefined;
  }
}
