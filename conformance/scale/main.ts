// `node conformance/scale/main.ts [--services 100,1000,10000] [--connections 1000] [--streams 5] [--rate 100]
//  [--seconds 20] [--stalled 50] [--out FILE]`: the control plane against a cluster that is not there. A store that speaks
// lists and watches, the controller as it ships in its own process, and simulated proxies; writes a page of results.
import { execFileSync, fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { z } from "zod";
import { ENDPOINTS_EACH } from "./objects.ts";
import { render, type Row } from "./render.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const READY_MS_MAX = 300_000;
const SETTLE_MS = 5_000;
const PROCESSES = 2;
/** Ticks of `/proc/PID/stat` in a second. */
const TICKS = 100;

const { values } = parseArgs({
  options: {
    services: { type: "string", default: "100,1000,10000" },
    connections: { type: "string", default: "1000" },
    streams: { type: "string", default: "5" },
    rate: { type: "string", default: "100" },
    seconds: { type: "string", default: "20" },
    stalled: { type: "string", default: "50" },
    core: { type: "string" },
    profile: { type: "string" },
    node: { type: "string", default: "--max-semi-space-size=8" },
    out: { type: "string" },
  },
});
const Settings = z.object({
  services: z.string().transform((text) => text.split(",").map(Number)),
  connections: z.coerce.number().int().positive(),
  streams: z.coerce.number().int().positive(),
  rate: z.coerce.number().positive(),
  seconds: z.coerce.number().positive(),
  stalled: z.coerce.number().int().min(0),
  core: z.coerce.number().int().optional(),
  profile: z.string().optional(),
  /** Flags of the controller's runtime: those of the image's entry point. */
  node: z.string(),
  out: z.string().optional(),
});
const settings = Settings.parse(values);
const say = (text: string): void => void process.stderr.write(`${text}\n`);

const Started = z.object({ port: z.number() });
const Written = z.object({ written: z.array(z.tuple([z.number(), z.number()])) });
const Report = z.object({
  answered: z.number(),
  broken: z.number(),
  arrivals: z.array(z.tuple([z.number(), z.number()])),
});
type Report = z.infer<typeof Report>;

async function word(child: ChildProcess): Promise<unknown> {
  const [message]: readonly unknown[] = await once(child, "message");
  return message;
}

function certificate(dir: string): void {
  const words =
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=store -addext subjectAltName=IP:127.0.0.1";
  const files = ["-keyout", join(dir, "server.key"), "-out", join(dir, "server.crt")];
  execFileSync("openssl", [...words.split(" "), ...files], { stdio: "ignore" });
  writeFileSync(join(dir, "ca.crt"), readFileSync(join(dir, "server.crt")));
  writeFileSync(join(dir, "token"), "token");
  writeFileSync(join(dir, "namespace"), "linkerd");
}

/** The controller as it ships: one bundle, nothing left to strip or resolve at run time. */
function bundle(dir: string): string {
  const words = "--bundle --platform=node --format=esm --target=node26 --splitting --log-level=error";
  const banner =
    '--banner:js=import{createRequire as scaleRequire}from"node:module";const require=scaleRequire(import.meta.url);';
  execFileSync(
    join(ROOT, "node_modules", ".bin", "esbuild"),
    [
      "controller=mesh/controller/main.ts",
      ...words.split(" "),
      banner,
      "--out-extension:.js=.mjs",
      `--outdir=${dir}`,
    ],
    { cwd: ROOT },
  );
  return join(dir, "controller.mjs");
}

interface Usage {
  readonly cpuSeconds: number;
  readonly rssMiB: number;
  readonly peakMiB: number;
}

function usage(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kib = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? "0");
  return {
    cpuSeconds: (Number(stat[11]) + Number(stat[12])) / TICKS,
    rssMiB: kib("VmRSS") / 1024,
    peakMiB: kib("VmHWM") / 1024,
  };
}

interface Plane {
  readonly pid: number;
  readonly destination: number;
  readonly readyMs: number;
  readonly close: () => Promise<void>;
}

async function startController(dir: string, store: number): Promise<Plane> {
  const script = [
    ...(settings.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${settings.profile}`]),
    ...settings.node.split(" ").filter((flag) => flag !== ""),
    bundle(dir),
  ];
  const listens = ["destination", "policy", "admin"].flatMap((role) => [`--${role}-listen`, "127.0.0.1:0"]);
  const command = [process.execPath, ...script, "destination", "--service-account-dir", dir, ...listens];
  const pinned = settings.core === undefined ? command : ["taskset", "-c", String(settings.core), ...command];
  const [program = "", ...args] = pinned;
  const beganMs = performance.now();
  const child = spawn(program, args, {
    env: {
      KUBERNETES_SERVICE_HOST: "127.0.0.1",
      KUBERNETES_SERVICE_PORT: String(store),
      PATH: process.env["PATH"],
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ports = new Map<string, number>();
  const ready = Promise.withResolvers<void>();
  child.once("exit", (code) => ready.reject(new Error(`the controller ended with ${code}`)));
  let pending = "";
  child.stdout.on("data", (chunk) => {
    const lines = `${pending}${String(chunk)}`.split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) {
      const entry = z
        .object({
          level: z.string(),
          message: z.string(),
          role: z.string().optional(),
          port: z.number().optional(),
        })
        .parse(JSON.parse(line));
      if (entry.role !== undefined && entry.port !== undefined) ports.set(entry.role, entry.port);
      if (entry.level !== "info" && !line.includes('"lease"')) say(line);
      if (entry.message === "ready") ready.resolve();
    }
  });
  const timer = setTimeout(
    () => ready.reject(new Error("the controller is not ready in time")),
    READY_MS_MAX,
  );
  await ready.promise;
  clearTimeout(timer);
  const { pid = 0 } = child;
  return {
    pid,
    destination: ports.get("destination") ?? 0,
    readyMs: performance.now() - beganMs,
    close: async () => {
      child.removeAllListeners("exit");
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}

function fleet(destination: number, services: number): readonly ChildProcess[] {
  const each = Math.ceil(settings.connections / PROCESSES);
  return Array.from({ length: PROCESSES }, (_, at) =>
    fork(join(import.meta.dirname, "proxies.ts"), [
      JSON.stringify({
        destination,
        connections: each,
        streams: settings.streams,
        first: at * each * settings.streams,
        services,
      }),
    ]),
  );
}

async function reports(children: readonly ChildProcess[]): Promise<readonly Report[]> {
  return Promise.all(
    children.map(async (child) => {
      const answer = word(child);
      child.send({});
      return Report.parse(await answer);
    }),
  );
}

async function answeredAll(children: readonly ChildProcess[], wanted: number): Promise<void> {
  const deadline = performance.now() + READY_MS_MAX;
  for (;;) {
    const answered = (await reports(children)).reduce((sum, one) => sum + one.answered, 0);
    if (answered >= wanted) return;
    if (performance.now() > deadline) throw new Error(`only ${answered} of ${wanted} streams are answered`);
    await sleep(500);
  }
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** One steady stretch of changes: how long each took to reach each stream, and what it cost. */
async function measure(
  plane: Plane,
  store: ChildProcess,
  {
    children,
    among,
    first,
  }: { readonly children: readonly ChildProcess[]; readonly among: number; readonly first: number },
): Promise<Pick<Row, "updates" | "p50Ms" | "p99Ms" | "maxMs" | "cpuShare" | "microsPerUpdate" | "rssMiB">> {
  await reports(children);
  const before = usage(plane.pid);
  const beganMs = performance.now();
  const told = word(store);
  store.send({ rate: settings.rate, seconds: settings.seconds, among, first });
  const { written } = Written.parse(await told);
  await sleep(1_000);
  const seconds = (performance.now() - beganMs) / 1_000;
  const after = usage(plane.pid);
  const writtenAt = new Map(written);
  const arrivals = (await reports(children)).flatMap((one) => one.arrivals);
  const delays = arrivals
    .flatMap(([number, atMs]) => {
      const fromMs = writtenAt.get(number);
      return fromMs === undefined ? [] : [atMs - fromMs];
    })
    .toSorted((a, b) => a - b);
  const cpu = after.cpuSeconds - before.cpuSeconds;
  return {
    updates: delays.length,
    p50Ms: quantile(delays, 0.5),
    p99Ms: quantile(delays, 0.99),
    maxMs: delays.at(-1) ?? Number.NaN,
    cpuShare: cpu / seconds,
    microsPerUpdate: (cpu * 1e6) / Math.max(1, delays.length),
    rssMiB: after.rssMiB,
  };
}

/** Proxies that are there and read nothing: their process is stopped. */
async function stall(plane: Plane, among: number): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, "proxies.ts"), [
    JSON.stringify({
      destination: plane.destination,
      connections: settings.stalled,
      streams: 1,
      first: 0,
      services: among,
    }),
  ]);
  await answeredAll([child], settings.stalled);
  child.kill("SIGSTOP");
  return child;
}

async function run(services: number): Promise<Row> {
  const dir = mkdtempSync(join(tmpdir(), "hb-scale-"));
  certificate(dir);
  const store = fork(join(import.meta.dirname, "store.ts"), [JSON.stringify({ dir, services })]);
  const children: ChildProcess[] = [store];
  let plane: Plane | undefined;
  try {
    const { port } = Started.parse(await word(store));
    plane = await startController(dir, port);
    say(`${services} services: ready after ${Math.round(plane.readyMs)} ms`);
    const loaded = usage(plane.pid);
    const streams = settings.connections * settings.streams;
    const among = Math.min(services, streams);
    const proxies = fleet(plane.destination, among);
    children.push(...proxies);
    await answeredAll(proxies, streams);
    await sleep(SETTLE_MS);
    const steady = await measure(plane, store, { children: proxies, among, first: 0 });
    say(`  ${JSON.stringify(steady)}`);
    const stalled = settings.stalled === 0 ? undefined : await stall(plane, among);
    if (stalled !== undefined) children.push(stalled);
    const first = Math.round(settings.rate * settings.seconds);
    const beside = await measure(plane, store, { children: proxies, among, first });
    say(`  beside stalled readers ${JSON.stringify(beside)}`);
    stalled?.kill("SIGCONT");
    return {
      services,
      endpoints: services * ENDPOINTS_EACH,
      streams,
      readyMs: plane.readyMs,
      loadedMiB: loaded.rssMiB,
      peakMiB: usage(plane.pid).peakMiB,
      ...steady,
      stalledP99Ms: beside.p99Ms,
      stalledRssMiB: beside.rssMiB,
    };
  } finally {
    await plane?.close();
    for (const child of children) child.kill("SIGKILL");
    rmSync(dir, { recursive: true });
  }
}

const rows: Row[] = [];
for (const services of settings.services) rows.push(await run(services));
const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? "?"}, Linux ${release()}, Node ${process.versions.node}`;
const page = render(rows, { ...settings, machine, command: process.argv.slice(2).join(" ") });
if (settings.out === undefined) process.stdout.write(page);
else writeFileSync(settings.out, page);
