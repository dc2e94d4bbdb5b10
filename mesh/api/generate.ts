/**
 * Build step: TypeScript for the wire messages.
 *
 * The messages between proxy and control plane are those of the pinned `linkerd2-proxy-api` crate, which the
 * data plane compiles too: one source, so the two halves cannot disagree. The `.proto` files are read where cargo
 * keeps them; nothing of them is stored in this repository. Our own extension messages, when there are any, lie in
 * `mesh/api/proto`. Run as `node mesh/api/generate.ts`; needs `npm install` and `cargo fetch` done before.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { delimiter, dirname, join, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { z } from "zod";

/** The crate that holds the `.proto` files. Its exact version is pinned in `proxy/Cargo.toml`. */
const CRATE = "linkerd2-proxy-api";

/** `cargo metadata` of the whole workspace is about 2 MiB; anything near this bound is not metadata. */
const METADATA_BYTES_MAX = 128 * 1024 * 1024;

/** One run of cargo or buf; minutes are only ever a hung registry. */
const RUN_MS_MAX = 180_000;

const CargoMetadata = z.object({
  packages: z.array(z.object({ name: z.string(), version: z.string(), manifest_path: z.string() })),
});

const run = promisify(execFile);

/** The folder of `.proto` files inside the crate, as cargo has unpacked it. */
async function findCrateProtos(workspace: string): Promise<string> {
  const args = ["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"];
  const { stdout } = await run("cargo", args, {
    cwd: workspace,
    maxBuffer: METADATA_BYTES_MAX,
    timeout: RUN_MS_MAX,
  });
  const metadata = CargoMetadata.parse(JSON.parse(stdout));
  const crate = metadata.packages.find((candidate) => candidate.name === CRATE);
  if (crate === undefined) throw new Error(`${workspace} does not depend on ${CRATE}`);
  const protos = join(dirname(crate.manifest_path), "proto");
  if (!existsSync(protos)) throw new Error(`${CRATE} ${crate.version} carries no .proto files at ${protos}`);
  return protos;
}

/** Runs buf with protoc-gen-es over `protos`, into `out`. */
async function generateInto(protos: string, out: string, bin: string): Promise<void> {
  const template = {
    version: "v2",
    // erasable_syntax: no `enum`, which type stripping refuses.
    plugins: [
      {
        local: join(bin, "protoc-gen-es"),
        out,
        opt: ["target=ts", "import_extension=ts", "erasable_syntax=true"],
      },
    ],
  };
  const env = { ...process.env, PATH: [bin, process.env["PATH"] ?? ""].join(delimiter) };
  await run(join(bin, "buf"), ["generate", "--template", JSON.stringify(template), protos], {
    env,
    timeout: RUN_MS_MAX,
  });
}

/** Where to read and write, other than in the checkout. */
export interface Places {
  /** The crate's folder of `.proto` files, where cargo is not to be asked. */
  readonly protos?: string;
  /** Folder that takes the types. */
  readonly out?: string;
}

/** Generates all wire types, into `mesh/api/gen` as a rule; the old ones stay until the new ones are complete. */
export async function generate(root: string, places: Places = {}): Promise<string> {
  const bin = join(root, "node_modules", ".bin");
  const gen = places.out ?? join(root, "mesh", "api", "gen");
  const fresh = `${gen}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  await generateInto(places.protos ?? (await findCrateProtos(join(root, "proxy"))), fresh, bin);
  const extensions = join(root, "mesh", "api", "proto");
  if (existsSync(extensions)) await generateInto(extensions, fresh, bin);
  await rm(gen, { recursive: true, force: true });
  await rename(fresh, gen);
  return gen;
}

if (import.meta.main) {
  const options = { protos: { type: "string" }, out: { type: "string" } } as const;
  const gen = await generate(resolve(import.meta.dirname, "..", ".."), parseArgs({ options }).values);
  process.stdout.write(`generated ${gen}\n`);
}
