/** A fresh release, signed in every way, in a real registry, with its channel: what the stock tools are asked about. */
import type { ChildProcess } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join, normalize } from "node:path";
import { z } from "zod";
import { freePort, must, program, RELEASE_MS_MAX, start, stop, TREE, type Say } from "./programs.ts";
import { startSigstore, type Sigstore } from "./sigstore.ts";

/** The only image of the release: it needs no compiler, and the command line prints the custom resource definitions. */
export const IMAGE = "cli";

const Description = z.object({ version: z.string(), images: z.record(z.string(), z.string()) });
const IndexDocument = z.object({ manifests: z.array(z.object({ digest: z.string() })).min(1) });

/** Everything that a case may look at. */
export interface World {
  readonly dir: string;
  readonly sigstore: Sigstore;
  /** Folder of the release. */
  readonly release: string;
  readonly version: string;
  /** `127.0.0.1:PORT/hauberk`. */
  readonly repository: string;
  /** Digest of the image's index, and of its platform's image. */
  readonly index: string;
  readonly platform: string;
  /** The channel's folder, and where it is served. */
  readonly channel: string;
  readonly channelUrl: string;
  /** A checkout of the released commit. */
  readonly checkout: string;
  /** This tree's command line: where it stands, its wire types have been generated. */
  readonly hauberk: (...args: readonly string[]) => readonly [string, readonly string[]];
}

/** A checkout of what is committed, with nothing of what is being worked on here: a release is made of that alone. */
async function checkOut(dir: string): Promise<string> {
  const checkout = join(dir, "checkout");
  await must("git", ["clone", "--quiet", "--shared", TREE, checkout]);
  return checkout;
}

async function startRegistry(dir: string): Promise<{ readonly child: ChildProcess; readonly host: string }> {
  const host = `127.0.0.1:${await freePort()}`;
  const config = join(dir, "registry.json");
  const storage = { filesystem: { rootdirectory: join(dir, "registry") }, delete: { enabled: true } };
  await writeFile(config, JSON.stringify({ version: "0.1", storage, http: { addr: host } }));
  const child = await start(program("registry"), ["serve", config], { log: join(dir, "registry.txt") });
  return { child, host };
}

/** Any web server can serve a channel; this one serves files below a folder. */
export async function serveFolder(dir: string): Promise<{ readonly server: Server; readonly url: string }> {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(request.url ?? "/"));
    readFile(join(dir, path)).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  const port = await freePort();
  await new Promise<void>((listening) => server.listen(port, "127.0.0.1", listening));
  return { server, url: `http://127.0.0.1:${port}` };
}

/** What a gate takes for a report: these suites have not run, since what is tried here is who reads a release. */
async function writeReport(dir: string, checkout: string): Promise<string> {
  const commit = (await must("git", ["-C", checkout, "rev-parse", "HEAD"])).trim();
  const suite = { suite: "supply-chain", cases: [{}], asUsual: 1, excused: 0, findings: [] };
  const programs = [{ name: "hauberk-proxy", sha256: "0".repeat(64) }];
  const report = { tested: { programs, source: { commit, isClean: true } }, suites: [suite] };
  const path = join(dir, "report.json");
  await writeFile(path, JSON.stringify(report));
  return path;
}

async function makeRelease(dir: string, checkout: string, sigstore: Sigstore, repository: string) {
  const out = join(dir, "release");
  const setup = [join(checkout, "setup.mjs"), "--run", "release", "--"];
  const release = (...args: readonly string[]) =>
    must("node", [...setup, ...args], { msMax: RELEASE_MS_MAX });
  const keyless = async (workload: string) => {
    const token = join(dir, `${workload}.token`);
    await writeFile(token, sigstore.issuer.token(workload));
    // prettier-ignore
    return ["--signing-config", sigstore.signingConfig, "--trusted-root", sigstore.trustedRoot, "--identity-token", token,
      "--certificate-identity", sigstore.identityOf(workload), "--certificate-oidc-issuer", sigstore.issuer.url];
  };
  const named = ["--repository", repository];
  const builder = ["--keys", join(dir, "builder-keys"), "--new-keys"];
  const renewing = setInterval(() => {
    void writeFile(join(dir, "builder.token"), sigstore.issuer.token("builder"));
  }, 120_000);
  try {
    const asked = ["--only", IMAGE, "--platform", "linux/amd64", "--out", out];
    await release(...asked, ...builder, ...named, ...(await keyless("builder")));
  } finally {
    clearInterval(renewing);
  }
  // prettier-ignore
  await release("gate", out, "--keys", join(dir, "gate-keys"), "--new-keys", "--trust", join(out, "trust.json"),
    "--conformance", await writeReport(dir, checkout), ...(await keyless("gate")));
  const tags = [
    "--tag",
    Description.parse(JSON.parse(await readFile(join(out, "release.json"), "utf8"))).version,
  ];
  await release("publish", out, repository, ...tags, "--plain-http");
  const channel = join(dir, "channel");
  const keys = ["--keys", join(dir, "channel-keys")];
  await release("channel", "create", channel, ...keys, "--new-keys", "--trust", join(out, "trust.json"));
  await release("channel", "add", channel, out, "--channel", "stable", ...keys);
  return { out, channel };
}

async function partsOf(release: string) {
  const { version, images } = Description.parse(
    JSON.parse(await readFile(join(release, "release.json"), "utf8")),
  );
  const index = images[IMAGE] ?? "";
  const bytes = await readFile(join(release, "images", "blobs", "sha256", index.slice("sha256:".length)));
  const [first] = IndexDocument.parse(JSON.parse(bytes.toString())).manifests;
  return { version, index, platform: first?.digest ?? "" };
}

/** Makes it, lends it, and takes everything down again. */
export async function withWorld<T>(say: Say, work: (world: World) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), "hb-supply-chain-"));
  const closing: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
  try {
    await mkdir(join(dir, "sigstore"));
    const sigstore = await startSigstore(join(dir, "sigstore"));
    closing.push(() => sigstore.close());
    const registry = await startRegistry(dir);
    closing.push(() => stop(registry.child));
    const repository = `${registry.host}/hauberk`;
    const checkout = await checkOut(dir);
    say("  making a release of what is committed ...");
    const { out, channel } = await makeRelease(dir, checkout, sigstore, repository);
    const { server, url } = await serveFolder(channel);
    closing.push(async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    });
    return await work({
      dir,
      sigstore,
      release: out,
      repository,
      channel,
      channelUrl: url,
      checkout,
      ...(await partsOf(out)),
      hauberk: (...args) => [process.execPath, [join(TREE, "mesh", "cli", "bin", "hauberk.ts"), ...args]],
    });
  } finally {
    for (const close of closing.toReversed()) await close();
  }
}
