/** The TypeScript programs as JavaScript: one bundle each, with a list of what is inside. */
import type { Source } from "../source.ts";
import type { Step } from "./step.ts";
import type { BuiltAlike } from "./twice.ts";

/** esbuild takes a second; anything near this is a hang. */
const BUNDLE_MS_MAX = 5 * 60_000;

/** What is bundled: where it begins, by the name of the file that comes out. */
export interface Program {
  readonly name: string;
  /** Entry points, relative to the root, by output name. */
  readonly entries: Readonly<Record<string, string>>;
}

export const CONTROLLER: Program = { name: "controller", entries: { controller: "mesh/controller/main.ts" } };

/**
 * oclif loads commands and hooks by file, so they are entries of their own, with shared code in chunks. What opens
 * PKCS #12 is a process of its own (`crypto/pkcs12.ts`), so that no other holds node-forge.
 */
export const CLI: Program = {
  name: "cli",
  entries: {
    hauberk: "mesh/cli/bin/hauberk.ts",
    commands: "mesh/cli/commands.ts",
    suggest: "mesh/cli/suggest.ts",
    "forge-container": "crypto/forge-container.ts",
  },
};

/** The crate whose `.proto` files the wire types are generated from. */
const PROTOS_CRATE = "linkerd2-proxy-api";

/** The command line that bundles `program` into the folder `out`, to be run in the root of the source. */
export function bundleCommand(
  program: Program,
  { architecture, out }: { readonly architecture: string; readonly out: string },
): readonly string[] {
  const entries = Object.entries(program.entries).map(([name, file]) => `${name}=${file}`);
  const options = [
    "--bundle",
    "--platform=node",
    "--format=esm",
    "--target=node26",
    "--splitting",
    "--charset=utf8",
    "--legal-comments=none",
    // oclif asks for it only to run sources of others, which is switched off.
    "--external:typescript",
    "--log-level=warning",
    "--chunk-names=chunk-[hash]",
    `--outdir=${out}`,
    `--metafile=${out}/contents.json`,
    // CommonJS inside a module asks for `require`.
    `--banner:js=import{createRequire as hauberkRequire}from"node:module";const require=hauberkRequire(import.meta.url);`,
  ];
  return [`node_modules/@esbuild/linux-${architecture}/bin/esbuild`, ...entries, ...options];
}

/** What the steps of scripts read. */
export interface ScriptInputs {
  readonly packages: string;
  readonly crates: string;
  /** Node's name of the architecture of this machine. */
  readonly architecture: string;
}

/**
 * Places inside the source where fetched and generated folders are put for a step to see. They are empty in the
 * source, so that what is committed and what is not stay apart.
 */
export const MOUNT_POINTS = { packages: "node_modules", wire: "mesh/api/gen" } as const;

/** The step that generates the wire types from the vendored crate's `.proto` files and our own. */
export function wireStep(
  source: Source,
  { packages, crates, architecture }: ScriptInputs,
): Omit<Step, "out" | "work"> {
  const script = [
    "set -eu",
    "cd /src",
    "export PATH=/src/node_modules/.bin:$PATH",
    `set -- /crates/${PROTOS_CRATE}-[0-9]*/proto`,
    `node_modules/node-linux-${architecture}/bin/node mesh/api/generate.ts --protos "$1" --out /scratch/gen`,
    "cp -r /scratch/gen/. /out/",
  ].join("\n");
  return {
    name: "wire",
    inputs: [
      { from: source.dir, at: "/src" },
      { from: packages, at: `/src/${MOUNT_POINTS.packages}` },
      { from: crates, at: "/crates" },
    ],
    environment: {},
    command: ["sh", "-c", script],
    epochSeconds: source.epochSeconds,
    msMax: BUNDLE_MS_MAX,
  };
}

/**
 * The step that bundles `program`: `/out/*.js`, and `/out/contents.json`, esbuild's own list of every file that went
 * in.
 */
export function scriptsStep(
  source: Source,
  program: Program,
  inputs: ScriptInputs & { readonly wire: BuiltAlike },
): Omit<Step, "out" | "work"> {
  return {
    name: program.name,
    inputs: [
      { from: source.dir, at: "/src" },
      { from: inputs.packages, at: `/src/${MOUNT_POINTS.packages}` },
      { from: inputs.wire.dir, at: `/src/${MOUNT_POINTS.wire}` },
    ],
    environment: {},
    command: [
      "sh",
      "-c",
      'cd /src && exec "$@"',
      "sh",
      ...bundleCommand(program, { architecture: inputs.architecture, out: "/out" }),
    ],
    epochSeconds: source.epochSeconds,
    msMax: BUNDLE_MS_MAX,
  };
}
