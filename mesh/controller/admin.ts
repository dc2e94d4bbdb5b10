/** The admin endpoint: liveness, readiness, metrics, problems and statuses. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { approvalOf, pageOf } from "./approval.ts";
import type { Listen } from "./config.ts";

/** A page of the endpoint: its path is looked up exactly, without the query. */
export interface Page {
  readonly contentType: string;
  readonly render: () => { readonly status: number; readonly body: string };
}

/** Admin connections; scrapes and people, never many. */
const CONNECTIONS_MAX = 256;

export interface AdminServer {
  readonly address: AddressInfo;
  close(): Promise<void>;
}

export function json(value: () => unknown): Page {
  return {
    contentType: "application/json",
    render: () => ({ status: 200, body: `${JSON.stringify(value(), undefined, 2)}\n` }),
  };
}

/** Serves `pages` to GET and HEAD. Whether this process is in approved mode is asked once, here, of the process itself. */
export async function serveAdmin(
  pages: ReadonlyMap<string, Page>,
  { host, port }: Listen,
): Promise<AdminServer> {
  const approval = approvalOf(process.env);
  const server: Server = createServer(
    { headersTimeout: 10_000, requestTimeout: 10_000 },
    (request, response) => {
      const page = pageOf(pages, (request.url ?? "").split("?", 1)[0] ?? "", approval);
      if (page === undefined || (request.method !== "GET" && request.method !== "HEAD")) {
        response.writeHead(page === undefined ? 404 : 405).end();
        return;
      }
      const { status, body } = page.render();
      response.writeHead(status, { "content-type": page.contentType });
      response.end(request.method === "HEAD" ? undefined : body);
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  const { promise, resolve, reject } = Promise.withResolvers<AddressInfo>();
  server.once("error", reject);
  server.listen({ host, port }, () => {
    const address = server.address();
    if (address === null || typeof address === "string") reject(new Error("not a TCP listener"));
    else resolve(address);
  });
  const address = await promise;
  return {
    address,
    close: async () => {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await closed.promise;
    },
  };
}
