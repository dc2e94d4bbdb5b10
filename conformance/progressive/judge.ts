/** The webhook that Flagger asks before each step: whether the canary's proxies count failures. */
import { createServer, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { World } from "../kubernetes/world.ts";

/** What a canary's proxies counted of requests from others. */
export interface Counted {
  readonly succeeded: number;
  readonly failed: number;
}

/** Of a hundred requests so many may fail. */
const FAILED_PERCENT_MAX = 1;

/** Sums what expositions of proxies say of inbound responses. */
export function counted(exposition: string): Counted {
  const sums = { succeeded: 0, failed: 0 };
  for (const line of exposition.split("\n")) {
    if (!line.startsWith("response_total{") || !line.includes('direction="inbound"')) continue;
    const value = Number(line.slice(line.lastIndexOf(" ") + 1));
    if (line.includes('classification="failure"')) sums.failed += value;
    else sums.succeeded += value;
  }
  return sums;
}

/** What is wrong with a canary since it was looked at before; nothing is wrong with one that nobody asked. */
export function complaint(before: Counted, now: Counted): string | undefined {
  // Other pods than before began at nothing.
  const isAnew = now.failed < before.failed || now.succeeded < before.succeeded;
  const failed = isAnew ? now.failed : now.failed - before.failed;
  const succeeded = isAnew ? now.succeeded : now.succeeded - before.succeeded;
  const total = failed + succeeded;
  return failed * 100 > total * FAILED_PERCENT_MAX ? `${failed} of ${total} requests failed` : undefined;
}

/** A webhook that is listening. */
export interface Judge {
  /** What it complained of. */
  readonly complaints: readonly string[];
  readonly close: () => Promise<void>;
}

/** Listens on this machine's own `port`, where Flagger runs, too. */
export async function startJudge(world: World, line: string, port: number): Promise<Judge> {
  let before: Counted = { succeeded: 0, failed: 0 };
  const complaints: string[] = [];
  const look = async (): Promise<string | undefined> => {
    const { code, stdout, stderr } = await world.shell(line);
    if (code !== 0) return `the proxies could not be asked: ${stderr.trim()}`;
    const now = counted(stdout);
    const found = complaint(before, now);
    before = now;
    return found;
  };
  const answer = async (response: ServerResponse): Promise<void> => {
    const found = await look();
    if (found !== undefined) complaints.push(found);
    response.writeHead(found === undefined ? 200 : 500).end(found ?? "");
  };
  const server: Server = createServer((request, response) => {
    request.resume();
    void answer(response);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    complaints,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
