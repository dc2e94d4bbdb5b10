/**
 * What the profile says and makes: the claims of this build, the provider that Node loads, and whether a process that was
 * started like this one is in approved mode.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { arch, stdout } from "node:process";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { LOCKS, NODE_CHOICES, claimOf, markdown, sentence, type Pinned } from "./claims.ts";
import { RECORD, recordOf } from "./loaded.ts";
import { probeNode, whyNotApproved } from "./probe.ts";
import { TARGETS, buildScript, settingsFor } from "./provider.ts";

const HELP = `usage:
  main.ts claims [--json]    what may be said of this build, from its lock files
  main.ts probe              whether this process is in approved mode; fails if not
  main.ts provider --choice certified|hybrid --crates DIR --work DIR --out DIR
                             build the provider from crates vendored with their versions in their names
`;
const ROOT = join(import.meta.dirname, "..");
const EXIT_USAGE = 2;
const BUILD_MS_MAX = 30 * 60_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const LOG_LINES = 40;

const PINNED: readonly Pinned[] = ["proxy", ...NODE_CHOICES];

function claims(asJson: boolean): void {
  const all = PINNED.map((pinned) => claimOf(pinned, readFileSync(join(ROOT, LOCKS[pinned]), "utf8")));
  stdout.write(
    asJson ? `${JSON.stringify(all, undefined, 2)}\n` : `${all.map(sentence).join("\n")}\n\n${markdown(all)}`,
  );
}

/** The folder of a crate that `cargo vendor --versioned-dirs` wrote. */
function crateOf(pinned: Pinned, crates: string): string {
  const { crate } = claimOf(pinned, readFileSync(join(ROOT, LOCKS[pinned]), "utf8"));
  return join(resolve(crates), crate.replace(" ", "-"));
}

function provider(values: Readonly<Record<string, string | boolean | undefined>>): number {
  const choice = NODE_CHOICES.find((one) => one === values["choice"]);
  const [crates, work, out] = ["crates", "work", "out"].map((name) => values[name]);
  const target = TARGETS[arch];
  if (
    choice === undefined ||
    typeof crates !== "string" ||
    typeof work !== "string" ||
    typeof out !== "string"
  )
    return usage();
  if (target === undefined) {
    process.stderr.write(`the provider is built for x64 and arm64, not for ${arch}\n`);
    return 1;
  }
  mkdirSync(work, { recursive: true });
  const places = {
    crate: crateOf(choice, crates),
    certified: crateOf("certified", crates),
    work: resolve(work),
    target,
  };
  const {
    status,
    stdout: output,
    stderr,
  } = spawnSync("sh", ["-c", buildScript(choice, places)], {
    encoding: "utf8",
    timeout: BUILD_MS_MAX,
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  if (status !== 0) {
    process.stderr.write(`${`${output}${stderr}`.split("\n").slice(-LOG_LINES).join("\n")}\n`);
    return 1;
  }
  const built = readFileSync(join(places.work, "openssl", "providers", "fips.so"));
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "fips.so"), built);
  writeFileSync(join(out, "openssl.cnf"), settingsFor(choice, built));
  const claim = claimOf(choice, readFileSync(join(ROOT, LOCKS[choice]), "utf8"));
  writeFileSync(join(out, RECORD), `${JSON.stringify(recordOf(claim, built), undefined, 2)}\n`);
  return 0;
}

function usage(): number {
  process.stderr.write(HELP);
  return EXIT_USAGE;
}

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      choice: { type: "string" },
      crates: { type: "string" },
      work: { type: "string" },
      out: { type: "string" },
    },
  });
  switch (positionals.join(" ")) {
    case "claims":
      claims(values.json);
      return 0;
    case "probe": {
      const probes = probeNode();
      for (const { name, holds } of probes) stdout.write(`${holds ? "√" : "×"} ${name}\n`);
      return whyNotApproved(probes) === undefined ? 0 : 1;
    }
    case "provider":
      return provider(values);
    default:
      return usage();
  }
}

process.exitCode = main();
