/** The Gateway API's own conformance suite for meshes, on a cluster where Hauberk is installed as a user installs it. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { GATEWAY_API_PART, moduleDir } from "@hauberk/cluster/build.ts";
import { BIN, buildHere, type Say } from "@hauberk/cluster/here.ts";
import { imagesNamedIn, World } from "../kubernetes/world.ts";
import type { SuiteResult } from "../report.ts";
import { casesOf, EXTENDED, REQUIRED, TESTS_MIN } from "./output.ts";

const MODULE = "sigs.k8s.io/gateway-api/conformance";
const SUITE_MS_MAX = 45 * 60_000;
/** The clusters of suites have numbers of their own. */
const NUMBER = 8;
/** What a user types. The first of them says whether the cluster is fit. */
const INSTALLATION = [
  "hauberk install --crds | kubectl apply -f -",
  "hauberk install | kubectl apply -f -",
  "hauberk check --wait 180s",
] as const;

/** Runs the suite, or its tests called `only`; `out` is where the report file and the log go. */
export async function gatewayApi(out: string, only: readonly string[], say: Say): Promise<SuiteResult> {
  await buildHere(GATEWAY_API_PART, say);
  const suite = await moduleDir(MODULE, { environment: process.env, say });
  const echoNames = await imagesNamedIn(join(suite, "mesh"), /image:\s*(\S+)/g);
  const world = await World.start({ name: "gateway-api", number: NUMBER, nodes: 1, echoNames }, say);
  try {
    await world.applyGatewayApi();
    for (const line of INSTALLATION) {
      say(`  ${line}`);
      const { code, stdout, stderr } = await world.shell(line);
      if (code !== 0) throw new Error(`${line}: ${code}\n${stdout}\n${stderr}`);
    }
    await mkdir(out, { recursive: true });
    const report = join(out, "report.yaml");
    await rm(report, { force: true });
    say("  the suite");
    const log = await runSuite(world, report, only);
    await writeFile(join(out, "log.txt"), log);
    const written = existsSync(report) ? await readFile(report, "utf8") : "";
    return {
      suite: "gateway-api",
      usual: () => "pass",
      never: [],
      least: only.length === 0 ? TESTS_MIN + 2 : 1,
      cases: casesOf(log, written),
    };
  } finally {
    await world.close();
  }
}

async function runSuite(world: World, report: string, only: readonly string[]): Promise<string> {
  const flags = [
    "-test.v",
    "-test.run=^TestConformance$",
    "-test.timeout=40m",
    "--conformance-profiles=MESH-HTTP,MESH-GRPC",
    `--supported-features=${[...REQUIRED, ...EXTENDED].join(",")}`,
    "--namespace-annotations=linkerd.io/inject=enabled",
    "--organization=hauberk",
    "--project=hauberk",
    "--url=https://hauberk.io",
    "--version=0.1.0",
    "--contact=@hauberk",
    `--report-output=${report}`,
    ...only.map((name) => `--run-test=${name}`),
  ];
  const child = spawn(join(BIN, "gateway-api.test"), flags, {
    env: world.environment,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: SUITE_MS_MAX,
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (log += text));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.once("error", reject);
  child.once("close", () => resolve());
  await promise;
  return log;
}
