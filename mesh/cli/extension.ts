/**
 * Extensions: executables on the path called `hauberk-NAME` or `linkerd-NAME`, which are commands of ours by their names. An
 * extension says of itself with `_extension-metadata` whether its checks are always made (Linkerd's EXTENSIONS.md).
 */
import { execFile, spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, readdir } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";

const run = promisify(execFile);
const PREFIXES = ["hauberk-", "linkerd-"] as const;
const NAME = /^[a-z0-9][a-z0-9-]*$/;
/** Metadata takes no cluster to answer. */
const METADATA_MS_MAX = 5_000;
/** Checks of an extension wait for a cluster. */
const CHECK_MS_MAX = 300_000;

export interface Extension {
  readonly name: string;
  readonly program: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The program of an extension; ours come before Linkerd's, and earlier folders of the path before later ones. */
export async function findExtension(name: string, environment: Environment): Promise<Extension | undefined> {
  if (!NAME.test(name)) return undefined;
  for (const prefix of PREFIXES) {
    for (const folder of foldersOf(environment)) {
      const program = join(folder, `${prefix}${name}`);
      if (await isExecutable(program)) return { name, program };
    }
  }
  return undefined;
}

/** Every extension on the path. */
export async function listExtensions(environment: Environment): Promise<readonly Extension[]> {
  const names = new Set<string>();
  for (const folder of foldersOf(environment)) {
    for (const file of await readdir(folder).catch((): readonly string[] => [])) {
      const prefix = PREFIXES.find((one) => file.startsWith(one));
      if (prefix !== undefined) names.add(file.slice(prefix.length));
    }
  }
  const found = await Promise.all([...names].toSorted().map((name) => findExtension(name, environment)));
  return found.flatMap((extension) => extension ?? []);
}

function foldersOf(environment: Environment): readonly string[] {
  return (environment["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Runs an extension in our place; the exit code is its own. */
export async function runExtension({ program }: Extension, args: readonly string[]): Promise<number> {
  const child = spawn(program, args, { stdio: "inherit" });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once("error", reject);
  child.once("close", (code) => resolve(code ?? 1));
  return promise;
}

const Metadata = z.looseObject({ name: z.string(), checks: z.string().optional() });

/** Whether an extension's checks are made although the cluster does not have it. */
export async function isAlwaysChecked({ program }: Extension): Promise<boolean> {
  try {
    const { stdout } = await run(program, ["_extension-metadata"], { timeout: METADATA_MS_MAX });
    return Metadata.parse(JSON.parse(stdout)).checks === "always";
  } catch {
    // One that cannot say so is checked where it is installed.
    return false;
  }
}

const Report = z.looseObject({
  categories: z
    .array(
      z.looseObject({
        categoryName: z.string(),
        checks: z.array(
          z.looseObject({
            description: z.string(),
            hint: z.string().optional(),
            error: z.string().optional(),
            result: z.enum(["success", "warning", "error"]),
          }),
        ),
      }),
    )
    .default([]),
});
export type ExtensionReport = z.infer<typeof Report>;

/** What an extension says of itself in a cluster. A report may come with an exit code that says that all is not well. */
export async function checkExtension(
  { program }: Extension,
  args: readonly string[],
): Promise<ExtensionReport | undefined> {
  const said = await run(program, ["check", "--output", "json", ...args], { timeout: CHECK_MS_MAX }).catch(
    (error: unknown) => error,
  );
  const output = z.looseObject({ stdout: z.string() }).safeParse(said);
  if (!output.success) return undefined;
  try {
    return Report.parse(JSON.parse(output.data.stdout));
  } catch {
    return undefined;
  }
}
