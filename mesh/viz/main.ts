// Scrapes every meshed proxy each second and answers questions about the last minute on a Unix socket:
//
//   node main.ts --objects DIR --socket PATH
import { readFile, readdir } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Agent, request } from "undici";
import { z } from "zod";
import { parseExposition } from "./exposition.ts";
import { HISTORY_MS, apply, report } from "./history.ts";
import type { History, Round, ScrapedPod } from "./history.ts";
import { isWanted, sampleOf } from "./sample.ts";
import { TapQuestion, tap } from "./tap.ts";

const SCRAPE_MS = 1_000;
/** A frozen proxy must not hold up the round. */
const SCRAPE_TIMEOUT_MS = 900;
/** What is asked when nothing else is said. */
const WINDOW_MS = 10_000;
/** A proxy says less than this; a page that does not end is no answer. */
const SCRAPE_BYTES_MAX = 16 * 1024 * 1024;

const Pod = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
    deletionTimestamp: z.string().optional(),
  }),
  spec: z.object({
    initContainers: z
      .array(
        z.object({
          name: z.string(),
          ports: z.array(z.object({ name: z.string().optional(), containerPort: z.number() })).default([]),
          env: z.array(z.object({ name: z.string(), value: z.string().default("") })).default([]),
        }),
      )
      .default([]),
  }),
  status: z.object({ podIP: z.string().optional(), phase: z.string() }),
});
type Pod = z.infer<typeof Pod>;

/** A proxy and where it can be scraped. */
interface Target extends ScrapedPod {
  readonly url: string;
}

function targetOf({ metadata, spec, status }: Pod): Target | undefined {
  const proxy = spec.initContainers.find(({ name }) => name === "linkerd-proxy");
  const isMeshed = metadata.labels["linkerd.io/control-plane-ns"] !== undefined;
  if (!isMeshed || proxy === undefined || status.podIP === undefined) return undefined;
  const port = proxy.ports.find(({ name }) => name === "linkerd-admin")?.containerPort ?? 4_191;
  const owner = Object.entries(metadata.labels).find(([label]) => label.startsWith("linkerd.io/proxy-"));
  return {
    namespace: metadata.namespace,
    pod: metadata.name,
    workload: owner?.[1] ?? metadata.name,
    identity: proxy.env.find(({ name }) => name === "LINKERD2_PROXY_IDENTITY_LOCAL_NAME")?.value ?? "",
    url: `http://${status.podIP}:${port}/metrics`,
  };
}

async function targets(dir: string): Promise<readonly Target[]> {
  const files = (await readdir(dir)).filter((name) => name.endsWith(".json") && !name.startsWith("."));
  const pods = await Promise.all(
    files.map(async (name) => {
      try {
        const pod = Pod.safeParse(JSON.parse(await readFile(join(dir, name), "utf8")));
        return pod.success && pod.data.status.phase === "Running" ? targetOf(pod.data) : undefined;
      } catch {
        // The pod went away between the two looks.
        return undefined;
      }
    }),
  );
  return pods.filter((pod) => pod !== undefined);
}

const agent = new Agent({ connections: 1, keepAliveTimeout: 10_000 });

async function scrape({ url, ...pod }: Target): Promise<Round["scrapes"][number]> {
  try {
    const { body, statusCode } = await request(url, {
      dispatcher: agent,
      signal: AbortSignal.timeout(SCRAPE_TIMEOUT_MS),
    });
    const text = await body.text();
    if (statusCode !== 200 || text.length > SCRAPE_BYTES_MAX) return { pod, sample: undefined };
    return { pod, sample: sampleOf(parseExposition(text, isWanted), Date.now()) };
  } catch {
    return { pod, sample: undefined };
  }
}

let history: History = new Map();

async function rounds(objects: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const began = performance.now();
    const scrapes = await Promise.all((await targets(objects)).map(scrape));
    history = apply(history, { atMs: Date.now(), scrapes });
    const rest = Math.max(50, SCRAPE_MS - (performance.now() - began));
    await new Promise((resolve) => setTimeout(resolve, rest));
  }
}

const Query = z.object({ window: z.coerce.number().int().min(1_000).max(HISTORY_MS).default(WINDOW_MS) });

/** Most bytes of a question: a certificate, a key, and a target for each pod. */
const QUESTION_BYTES_MAX = 4 * 1024 * 1024;

/** Streams what is tapped, a JSON object per line, until whoever asked leaves. */
async function serveTap(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const stop = new AbortController();
  response.once("close", () => stop.abort());
  try {
    let text = "";
    for await (const part of request.setEncoding("utf8")) {
      text += String(part);
      if (text.length > QUESTION_BYTES_MAX) throw new Error("the question is too large");
    }
    const question = TapQuestion.parse(JSON.parse(text));
    response.writeHead(200, { "content-type": "application/x-ndjson" }).flushHeaders();
    await tap(question, stop.signal, (word) => response.write(`${JSON.stringify(word)}\n`));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (!response.headersSent) response.writeHead(400);
    response.write(`${JSON.stringify({ error: message })}\n`);
  }
  response.end();
}

function serve(socket: string): () => void {
  const server = createServer((request, response) => {
    if (request.url === "/tap") return void serveTap(request, response);
    const url = new URL(request.url ?? "/", "http://viz");
    const query = Query.safeParse(Object.fromEntries(url.searchParams));
    response.setHeader("content-type", "application/json");
    if (url.pathname !== "/report" || !query.success) {
      response
        .writeHead(url.pathname === "/report" ? 400 : 404)
        .end(JSON.stringify({ error: "ask /report?window=MS" }));
      return;
    }
    response.end(JSON.stringify(report(history, { atMs: Date.now(), windowMs: query.data.window })));
  });
  server.listen(socket);
  return () => server.close();
}

const { values } = parseArgs({ options: { objects: { type: "string" }, socket: { type: "string" } } });
const { objects, socket } = z
  .strictObject({ objects: z.string().min(1), socket: z.string().min(1) })
  .parse({ ...values });
const stop = new AbortController();
const close = serve(socket);
process.once("SIGTERM", () => {
  close();
  stop.abort();
  process.exit(0);
});
await rounds(objects, stop.signal);
