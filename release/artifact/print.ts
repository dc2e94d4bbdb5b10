/** What the command line of a release prints: the custom resource definitions, and the Helm charts. */
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BuiltAlike } from "../build/twice.ts";
import { buildTwice } from "../build/twice.ts";
import type { Source } from "../source.ts";

/** Printing takes seconds; anything near this is a hang. */
const PRINT_MS_MAX = 120_000;

/** What is printed with. */
export interface Printer {
  /** The command line's bundle. */
  readonly program: BuiltAlike;
  /** The manifest beside it. */
  readonly manifest: Buffer;
  /** Node of this machine. */
  readonly node: string;
  /** A folder that is used. */
  readonly dir: string;
}

/** Where an image is pulled from: a name, and a version with a digest. */
export interface ImagePin {
  readonly name: string;
  readonly version: string;
}

/** The values by which charts name the images of the release. */
function pinsOf(images: Readonly<Partial<Record<"controller" | "proxy", ImagePin>>>): readonly string[] {
  const { controller, proxy } = images;
  const values = [
    ...(controller === undefined
      ? []
      : [`controllerImage=${controller.name}`, `controllerImageVersion=${controller.version}`]),
    ...(proxy === undefined
      ? []
      : [`proxy.image.name=${proxy.name}`, `proxy.image.version=${proxy.version}`]),
  ];
  return values.flatMap((value) => ["--set", value]);
}

/** Runs the command line twice, as every step: `/out/crds.yaml`, and `/out/charts/NAME/...`. */
export async function printAll(
  source: Source,
  images: Readonly<Partial<Record<"controller" | "proxy", ImagePin>>>,
  { program, manifest, node, dir }: Printer,
): Promise<BuiltAlike> {
  const app = join(dir, "printer");
  await mkdir(app, { recursive: true });
  for (const name of program.outputs.keys()) {
    if (name.endsWith(".js")) await copyFile(join(program.dir, name), join(app, name));
  }
  await writeFile(join(app, "package.json"), manifest);
  // The framework of the command line asks for the user's name; a step has no users.
  const users = join(dir, "printer-passwd");
  await writeFile(users, "root:x:0:0:root:/scratch:/nonexistent\n");
  const script = [
    "set -eu",
    "/node /app/hauberk.js install --crds --ignore-cluster > /out/crds.yaml",
    '/node /app/hauberk.js install --charts /out/charts "$@"',
  ].join("\n");
  const step = {
    name: "print",
    inputs: [
      { from: app, at: "/app" },
      { from: node, at: "/node" },
      { from: users, at: "/etc/passwd" },
    ],
    environment: {},
    command: ["sh", "-c", script, "sh", ...pinsOf(images)] as const,
    epochSeconds: source.epochSeconds,
    msMax: PRINT_MS_MAX,
  };
  return buildTwice(step, dir);
}
