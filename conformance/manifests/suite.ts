/** The charts, rendered by Helm's own engine, against what the command line prints; and judges of others over that. */
import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { parse, parseAllDocuments } from "yaml";
import { z } from "zod";
import type { Case, SuiteResult } from "../report.ts";
import { judged, type Rendering } from "./judges.ts";

const run = promisify(execFile);

const TREE = join(import.meta.dirname, "..", "..");
const CACHE = join(TREE, ".cache", "conformance");
/** Helm's engine brings the whole client of Kubernetes; a first build takes minutes. */
const BUILD_MS_MAX = 1_800_000;
const COMMAND_MS_MAX = 120_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

type Values = Readonly<Record<string, unknown>>;

/** Values that a chart and the command line are given alike. */
const CASES: readonly { readonly name: string; readonly values: Values }[] = [
  { name: "the defaults", values: {} },
  {
    name: "every switch turned",
    values: {
      cniEnabled: true,
      disableIPv6: true,
      enablePodDisruptionBudget: true,
      enablePodAntiAffinity: true,
      controllerReplicas: 3,
      podMonitor: { enabled: true, labels: { release: "prometheus" } },
      priorityClassName: "system-cluster-critical",
      runtimeClassName: "runc",
      imagePullSecrets: [{ name: "registry" }],
      tolerations: [{ key: "dedicated", operator: "Exists" }],
      proxyInjector: { unsupportedPods: "skip", additionalArgs: ["--version=x"] },
    },
  },
  {
    name: "values that YAML and templates could misread",
    values: {
      clusterDomain: "west.test",
      linkerdVersion: "007",
      commonLabels: { team: "yes", "example.com/rank": "1e3", "a.b/c": "{{ .Values }}" },
      podAnnotations: { note: 'a "quoted" line\nand another: <&>', unicode: "\u2028 é" },
      nodeSelector: { pool: "on" },
      proxy: {
        logLevel: "warn,linkerd=debug",
        additionalEnv: [{ name: "A", value: "1" }],
        resources: { cpu: { limit: "1", request: "" }, memory: { limit: "", request: "1Gi" } },
      },
      proxyInit: { runAsRoot: true, skipSubnets: "10.0.0.0/8", closeWaitTimeoutSecs: 3600 },
      policyController: { probeNetworks: ["10.0.0.0/8", "fd00::/8"] },
    },
  },
];

/** Builds the renderer where it is missing or was built of other sources. */
async function renderer(): Promise<string> {
  await mkdir(join(CACHE, "bin"), { recursive: true });
  const program = join(CACHE, "bin", "render-chart");
  const folder = join(import.meta.dirname, "render");
  await run("go", ["build", "-mod=readonly", "-trimpath", "-o", program, "."], {
    cwd: folder,
    timeout: BUILD_MS_MAX,
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  return program;
}

async function hauberk(args: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [join(TREE, "mesh/cli/bin/hauberk.ts"), ...args], {
    timeout: COMMAND_MS_MAX,
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  return stdout;
}

/** What Helm's engine makes of a chart: texts by template. @throws with its words where it refuses. */
async function helm(program: string, chart: string, values: Values): Promise<ReadonlyMap<string, string>> {
  const child = spawn(program, [chart, "linkerd"], { timeout: COMMAND_MS_MAX });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (text: string) => {
      said[name] += text;
    });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once("error", reject);
  child.once("close", (code) => resolve(code ?? 1));
  child.stdin.end(JSON.stringify(values));
  if ((await promise) !== 0) throw new Error(said.stderr.trim());
  const rendered = z.record(z.string(), z.string()).parse(JSON.parse(said.stdout));
  return new Map(
    Object.entries(rendered)
      .map(([name, text]) => [name, text.trim()] as const)
      .filter(([, text]) => text !== ""),
  );
}

/** The command line's documents, by the template that each says it is of. */
function printed(stream: string): ReadonlyMap<string, string> {
  return new Map(
    stream
      .split(/^---\n# Source: /m)
      .slice(1)
      .map((part) => {
        const end = part.indexOf("\n");
        return [part.slice(0, end), part.slice(end + 1).trim()] as const;
      })
      .filter(([name]) => !name.endsWith("/namespace.yaml")),
  );
}

/** The first difference, or nothing. */
function difference(
  one: ReadonlyMap<string, string>,
  other: ReadonlyMap<string, string>,
): string | undefined {
  for (const name of new Set([...one.keys(), ...other.keys()])) {
    const [mine, theirs] = [one.get(name), other.get(name)];
    if (mine === undefined || theirs === undefined) return `${name} is only in one of them`;
    if (mine === theirs) continue;
    const lines = mine.split("\n");
    const at = lines.findIndex((line, number) => line !== theirs.split("\n")[number]);
    return `${name}:${at + 1}: ${lines[at] ?? ""} | ${theirs.split("\n")[at] ?? ""}`;
  }
  return undefined;
}

const Data = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
  data: z.record(z.string(), z.string()).optional(),
});

function text(encoded = ""): string {
  return Buffer.from(encoded, "base64").toString("utf8");
}

/** An authority that the command line made, as values. */
async function trust(): Promise<Values> {
  const stream = await hauberk(["install", "--ignore-cluster"]);
  const objects = parseAllDocuments(stream, { version: "1.1" }).map((document) =>
    Data.parse(document.toJS()),
  );
  const of = (kind: string, name: string) =>
    objects.find((object) => object.kind === kind && object.metadata.name === name)?.data ?? {};
  const secret = of("Secret", "linkerd-identity-issuer");
  return {
    identityTrustAnchorsPEM: of("ConfigMap", "linkerd-identity-trust-roots")["ca-bundle.crt"] ?? "",
    identity: { issuer: { tls: { crtPEM: text(secret["crt.pem"]), keyPEM: text(secret["key.pem"]) } } },
  };
}

async function attempt(name: string, look: () => Promise<string | undefined>): Promise<Case> {
  try {
    const detail = await look();
    return detail === undefined ? { name, outcome: "passed" } : { name, outcome: "failed", detail };
  } catch (error) {
    return { name, outcome: "failed", detail: error instanceof Error ? error.message : String(error) };
  }
}

/** What Helm says when it refuses; nothing if it did not. */
async function refusal(program: string, chart: string, values: Values): Promise<string> {
  try {
    await helm(program, chart, values);
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
}

/** What users install. The charts say the same to the byte. */
async function renderings(): Promise<readonly Rendering[]> {
  const all: Rendering[] = [];
  for (const words of [["install", "--crds"], ["install"], ["install", "--ha"], ["install-cni"]]) {
    const isCrds = words.includes("--crds");
    const more = words[0] === "install" && !isCrds ? ["--ignore-cluster"] : [];
    const stream = await hauberk([...words, ...more]);
    all.push({ name: `hauberk ${words.join(" ")}`, stream, hasWorkloads: !isCrds });
  }
  return all;
}

/** Everything that charts promise. */
export async function manifests(): Promise<SuiteResult> {
  const program = await renderer();
  const dir = await mkdtemp(join(tmpdir(), "hb-charts-"));
  try {
    await hauberk(["install", "--charts", dir]);
    const chart = (name: string): string => join(dir, name);
    const authority = await trust();
    const same = (name: string, values: Values): Promise<Case> =>
      attempt(`the control plane's chart is what the command line prints: ${name}`, async () => {
        const file = join(dir, "values.json");
        await writeFile(file, JSON.stringify({ ...values, ...authority }));
        const stream = await hauberk(["install", "--ignore-cluster", "-f", file]);
        const rendered = await helm(program, chart("hauberk-control-plane"), { ...values, ...authority });
        return difference(printed(stream), rendered);
      });
    const cases: Case[] = [];
    for (const { name, values } of CASES) cases.push(await same(name, values));
    const ha: unknown = parse(await readFile(join(chart("hauberk-control-plane"), "values-ha.yaml"), "utf8"));
    cases.push(
      await same("values-ha.yaml", z.record(z.string(), z.unknown()).parse(ha)),
      await attempt("the kinds' chart is what the command line prints", async () =>
        difference(
          printed(await hauberk(["install", "--crds"])),
          await helm(program, chart("hauberk-crds"), {}),
        ),
      ),
      await attempt("the CNI plugin's chart is what the command line prints", async () => {
        const stream = await hauberk(["install-cni", "--cni-namespace", "linkerd"]);
        return difference(printed(stream), await helm(program, chart("hauberk-cni"), {}));
      }),
      await attempt("a value that nobody reads is refused by the chart", async () => {
        const said = await refusal(program, chart("hauberk-control-plane"), { ...authority, proxi: {} });
        return said.includes("proxi") ? undefined : `it said: ${said}`;
      }),
      await attempt("a chart without trust is refused", async () => {
        const said = await refusal(program, chart("hauberk-control-plane"), {});
        return said.includes("identityTrustAnchorsPEM") ? undefined : `it said: ${said}`;
      }),
    );
    cases.push(...(await judged(await renderings(), CACHE)));
    return { suite: "manifests", usual: () => "passed", never: [], least: 19, cases };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
