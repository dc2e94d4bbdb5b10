/** A registry for tests that serves a layout as it lies there, and checks nothing: what is wrong stays wrong. */
import { readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { join } from "node:path";
import { Layout } from "./layout.ts";
import { MediaType, jsonBytes } from "./model.ts";

const PATH = /^\/v2\/(?<repository>.+)\/(?<kind>manifests|blobs|referrers)\/(?<reference>[^/]+)$/;

export interface FixtureRegistry {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  close(): Promise<void>;
}

/** What lies at a digest, whether or not its name is right. */
const raw = (dir: string, digest: string) => readFile(join(dir, "blobs", "sha256", digest.slice(7)));

async function answer(dir: string, path: string, response: ServerResponse): Promise<void> {
  const { repository = "", kind, reference = "" } = PATH.exec(path)?.groups ?? {};
  if (kind === "blobs") {
    response.end(await raw(dir, reference));
    return;
  }
  const layout = await Layout.open(dir);
  if (kind === "referrers") {
    const found = (await layout.entries()).filter(({ artifactType }) => artifactType !== undefined);
    const manifests = [];
    for (const entry of found) {
      if ((await raw(dir, entry.digest)).includes(`"subject":{"mediaType"`)) {
        const { subject } = JSON.parse((await raw(dir, entry.digest)).toString());
        if (subject.digest === reference) manifests.push(entry);
      }
    }
    response.end(jsonBytes({ schemaVersion: 2, mediaType: MediaType.index, manifests }));
    return;
  }
  const name = repository.split("/").at(-1) ?? "";
  const named = (await layout.entries()).find(
    ({ annotations }) => annotations?.["org.opencontainers.image.ref.name"] === name,
  );
  const digest = reference.startsWith("sha256:") ? reference : named?.digest;
  if (digest === undefined) {
    response.writeHead(404).end();
    return;
  }
  response.end(await raw(dir, digest));
}

/** Serves the layout in `dir`: every repository's last name is an image's, every tag is that image. */
export async function serveLayout(dir: string): Promise<FixtureRegistry> {
  const server = createServer((request, response) => {
    answer(dir, request.url ?? "", response).catch(() => response.writeHead(404).end());
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    host: `127.0.0.1:${address.port}`,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
