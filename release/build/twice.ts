/** Every artifact is built twice, in folders of different names, and taken only if both builds are the same bytes. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../oci/model.ts";
import { digestsBelow, runStep, type Step } from "./step.ts";

/** The outputs of a step that was run twice with the same result. Only {@link buildTwice} makes one. */
export class BuiltAlike {
  readonly step: string;
  /** Folder of the outputs. */
  readonly dir: string;
  /** Digests of the outputs, by relative path. */
  readonly outputs: ReadonlyMap<string, Digest>;
  // A private member makes the type nominal: nothing that merely looks like it is taken for it.
  readonly #proof = "two builds, one result";

  private constructor(step: string, dir: string, outputs: ReadonlyMap<string, Digest>) {
    this.step = step;
    this.dir = dir;
    this.outputs = outputs;
  }

  /** @throws if the two differ in anything, or there is nothing. */
  static of(step: string, first: Build, another: Build): BuiltAlike {
    if (first.outputs.size === 0) throw new Error(`step ${step} made nothing`);
    const differ = differences(first.outputs, another.outputs);
    if (differ.length > 0) throw new Error(`step ${step}: two builds differ:\n${differ.join("\n")}`);
    return new BuiltAlike(step, first.dir, first.outputs);
  }

  /** What the type stands for, for people. */
  get proof(): string {
    return this.#proof;
  }
}

/** One run of a step. */
export interface Build {
  readonly dir: string;
  readonly outputs: ReadonlyMap<string, Digest>;
}

/** What differs between two builds; empty if nothing does. */
export function differences(
  first: ReadonlyMap<string, Digest>,
  second: ReadonlyMap<string, Digest>,
): readonly string[] {
  const names = [...new Set([...first.keys(), ...second.keys()])].toSorted();
  return names
    .filter((name) => first.get(name) !== second.get(name))
    .map((name) => `${name}: ${first.get(name) ?? "missing"} and ${second.get(name) ?? "missing"}`);
}

async function buildOnce(step: Omit<Step, "out" | "work">, base: string): Promise<Build> {
  const out = join(base, "out");
  const work = join(base, "work");
  await rm(base, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  await mkdir(work, { recursive: true });
  await runStep({ ...step, out, work }, join(base, "root"));
  await rm(work, { recursive: true, force: true });
  return { dir: out, outputs: await digestsBelow(out) };
}

/** Runs `step` twice at once below `dir`, in folders of different names. @throws if an output differs, or there is none. */
export async function buildTwice(step: Omit<Step, "out" | "work">, dir: string): Promise<BuiltAlike> {
  const [first, another] = await Promise.all([
    buildOnce(step, join(dir, step.name)),
    buildOnce(step, join(dir, "again", `${step.name}-elsewhere`)),
  ]);
  return BuiltAlike.of(step.name, first, another);
}
