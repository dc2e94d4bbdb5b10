// Who may import whom. The map is the design (ARCHITECTURE.md); `layers.test.ts` holds the tree against it.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";

export interface Room {
  /** Folder, relative to the root. */
  readonly folder: string;
  /** Other rooms it may import. */
  readonly may: readonly string[];
  /** Pure rooms touch no socket, file, clock, process or randomness: no `node:` module but these. */
  readonly pure?: boolean;
}

/** `node:` modules without effects, which pure rooms may use. */
const EFFECTLESS = new Set(["node:assert/strict", "node:util", "node:net:isIP"]);

const MODEL = "mesh/model";
export const ROOMS: readonly Room[] = [
  { folder: "crypto", may: [] },
  { folder: MODEL, may: [], pure: true },
  { folder: "mesh/api", may: [] },
  { folder: "mesh/source", may: [MODEL] },
  { folder: "mesh/state", may: [MODEL], pure: true },
  { folder: "mesh/destination", may: [MODEL, "mesh/state", "mesh/api", "crypto"] },
  { folder: "mesh/policy", may: [MODEL, "mesh/state", "mesh/api", "crypto"] },
  { folder: "mesh/identity", may: [MODEL, "mesh/state", "mesh/api", "crypto"] },
  { folder: "mesh/admission", may: ["mesh/source", "crypto"] },
  {
    folder: "mesh/validator",
    may: [MODEL, "mesh/source", "mesh/state", "mesh/policy", "mesh/admission"],
  },
  { folder: "mesh/proxy-injector", may: [MODEL, "mesh/source", "mesh/admission"] },
  {
    folder: "mesh/controller",
    may: [
      MODEL,
      "mesh/state",
      "mesh/api",
      "mesh/source",
      "mesh/admission",
      "mesh/destination",
      "mesh/policy",
      "mesh/validator",
      "mesh/identity",
      "mesh/proxy-injector",
      "crypto",
      "fips-profile",
    ],
  },
  {
    folder: "mesh/standalone",
    may: [MODEL, "mesh/source", "mesh/identity", "mesh/proxy-injector", "crypto"],
  },
  {
    folder: "mesh/install",
    may: [
      MODEL,
      "mesh/controller",
      "mesh/identity",
      "mesh/policy",
      "mesh/proxy-injector",
      "mesh/source",
      "crypto",
      "fips-profile",
    ],
  },
  // Only to speak the wire of taps.
  { folder: "mesh/viz", may: ["mesh/api"] },
  {
    folder: "mesh/fuzz",
    may: [MODEL, "mesh/api", "mesh/source", "mesh/policy", "mesh/identity", "crypto"],
  },
  {
    folder: "mesh/cli",
    may: [
      MODEL,
      "mesh/api",
      "mesh/destination",
      "mesh/identity",
      "mesh/install",
      "mesh/policy",
      "mesh/proxy-injector",
      "mesh/standalone",
      "mesh/source",
      "mesh/state",
      "mesh/validator",
      "mesh/viz",
      "release",
      "compliance",
      "crypto",
      "fips-profile",
    ],
  },
  { folder: "demo", may: ["mesh/standalone", "mesh/viz", MODEL, "mesh/source"] },
  { folder: "fips-profile", may: ["crypto"] },
  { folder: "sbom", may: [] },
  { folder: "policies", may: [], pure: true },
  { folder: "release", may: ["crypto", "sbom", "policies"] },
  // Judges what others have gathered; its tests hold its documents against their schemas.
  { folder: "compliance", may: ["crypto"], pure: true },
  // What the mesh runs on in tests: it makes the images as a release does.
  { folder: "cluster", may: ["crypto", "release"] },
  { folder: "conformance", may: ["cluster"] },
  // The peers' certificates; what is measured is an artefact all the same.
  { folder: "conformance/bench", may: ["crypto"] },
  { folder: ".ci", may: [] },
];

export interface Breach {
  readonly file: string;
  readonly imports: string;
  readonly why: string;
}

const SKIPPED = new Set(["node_modules", "gen", "target", ".cache"]);

/** Every TypeScript source below `folder`, generated code left out. */
export function sources(root: string, folder: string): readonly string[] {
  const dir = join(root, folder);
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : sources(root, path);
    return entry.name.endsWith(".ts") ? [path] : [];
  });
}

/** The innermost room that holds a file. */
export function roomOf(file: string): Room | undefined {
  return ROOMS.filter((room) => file.startsWith(`${room.folder}/`)).toSorted(
    (a, b) => b.folder.length - a.folder.length,
  )[0];
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s(?:[^"';]*?\sfrom\s)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/g;
/** Our packages, and the folder each stands for. */
const PACKAGES: ReadonlyMap<string, string> = new Map([
  ["@hauberk/crypto", "crypto"],
  ["@hauberk/mesh", "mesh"],
  ["@hauberk/viz", "mesh/viz"],
  ["@hauberk/cluster", "cluster"],
  ["@hauberk/demo", "demo"],
  ["@hauberk/conformance", "conformance"],
  ["@hauberk/release", "release"],
  ["@hauberk/sbom", "sbom"],
  ["@hauberk/policies", "policies"],
  ["@hauberk/fips-profile", "fips-profile"],
  ["@hauberk/compliance", "compliance"],
  ["hauberk", "mesh/cli"],
]);

function packageName(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

/** What a specifier of ours points at, relative to the root; `undefined` for outside modules. */
function target(root: string, file: string, specifier: string): string | undefined {
  if (specifier.startsWith(".")) return relative(root, resolve(root, dirname(file), specifier));
  const folder = PACKAGES.get(packageName(specifier));
  return folder === undefined ? undefined : join(folder, specifier.slice(packageName(specifier).length));
}

/** Outside packages that the package owning `file` declares. */
function declared(root: string, file: string): ReadonlySet<string> {
  let dir = dirname(file);
  while (!existsSync(join(root, dir, "package.json"))) dir = dirname(dir);
  const names = new Set<string>();
  for (const path of [
    join(root, dir, "package.json"),
    ...(file.endsWith(".test.ts") ? [join(root, "package.json")] : []),
  ]) {
    const manifest: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof manifest !== "object" || manifest === null) continue;
    for (const [key, value] of Object.entries(manifest)) {
      if (!/^(dev|optional)?[dD]ependencies$/.test(key) || typeof value !== "object") continue;
      for (const name of Object.keys(value ?? {})) names.add(name);
    }
  }
  return names;
}

function judge(root: string, file: string, room: Room, specifier: string): string | undefined {
  const isTest = file.endsWith(".test.ts");
  if (specifier.startsWith("node:") || builtinModules.includes(specifier)) {
    if (room.pure === true && !isTest && !EFFECTLESS.has(specifier)) return "a pure room has no effects";
    return undefined;
  }
  const to = target(root, file, specifier);
  if (to === undefined) {
    return declared(root, file).has(packageName(specifier))
      ? undefined
      : "its package does not declare this dependency";
  }
  const other = roomOf(to);
  if (other === undefined) return "it points at no room of the map";
  if (other.folder === room.folder || room.may.includes(other.folder)) return undefined;
  return `${room.folder} may import ${room.may.length === 0 ? "nothing of ours" : room.may.join(", ")}`;
}

/** All imports that the map does not allow, and how many were looked at. */
export function breaches(root: string): { readonly looked: number; readonly found: readonly Breach[] } {
  const found: Breach[] = [];
  let looked = 0;
  for (const file of ROOMS.flatMap((room) => sources(root, room.folder)).filter(
    (f, i, all) => all.indexOf(f) === i,
  )) {
    const room = roomOf(file);
    if (room === undefined) continue;
    for (const match of readFileSync(join(root, file), "utf8").matchAll(IMPORT)) {
      const specifier = match[1] ?? match[2] ?? "";
      looked += 1;
      const why = judge(root, file, room, specifier);
      if (why !== undefined) found.push({ file, imports: specifier, why });
    }
  }
  return { looked, found };
}

/** Which of our crates each crate may depend on. */
export const CRATES: Readonly<Record<string, readonly string[]>> = {
  "hauberk-model": [],
  "hauberk-wire": [],
  "hauberk-observe": [],
  "hauberk-init": [],
  "hauberk-cni": ["hauberk-init"],
  "hauberk-tls": ["hauberk-model"],
  "hauberk-control": ["hauberk-model", "hauberk-observe", "hauberk-tls"],
  "hauberk-data": ["hauberk-model", "hauberk-observe", "hauberk-tls", "hauberk-wire"],
  "hauberk-proxy": [
    "hauberk-cni",
    "hauberk-control",
    "hauberk-data",
    "hauberk-init",
    "hauberk-model",
    "hauberk-observe",
    "hauberk-tls",
    "hauberk-wire",
  ],
  "hauberk-proxy-fips": ["hauberk-proxy", "hauberk-tls"],
  "hauberk-sandbox": ["hauberk-init"],
  "hauberk-bench": ["hauberk-model"],
  "hauberk-fuzz": ["hauberk-control", "hauberk-model", "hauberk-wire"],
};

/** The only crate that may name these outside crates. */
export const CRATE_OWNERS: Readonly<Record<string, readonly string[]>> = {
  rustls: ["hauberk-tls"],
  // The FIPS build chooses the module of both.
  "aws-lc-rs": ["hauberk-tls", "hauberk-proxy-fips"],
  "aws-lc-fips-sys": ["hauberk-proxy-fips"],
  tonic: ["hauberk-control"],
  // The fuzz targets feed the messages that `control` reads.
  "linkerd2-proxy-api": ["hauberk-control", "hauberk-fuzz"],
};
