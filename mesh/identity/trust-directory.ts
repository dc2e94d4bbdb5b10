/** Trust as files beside the issuer's: how a standalone mesh keeps it. One process drives; operators leave a request. */
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { digest } from "@hauberk/crypto/digest.ts";
import type { IssuerPaths } from "./issuer-files.ts";
import {
  NOTHING_RECORDED,
  readRecord,
  readRequest,
  writeRecord,
  writeRequest,
  type RotationRequest,
  type TrustRecord,
} from "./trust-record.ts";
import { bundleOf, issuerOf, type TrustStore, type TrustWorld } from "./trust-driver.ts";
import type { LiveProxy } from "./trust-rotation.ts";

/** Names of the files. */
const RECORD = "trust-rotation.json";
const REQUEST = "trust-request.json";

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Whole or not at all. */
async function replace(path: string, text: string): Promise<void> {
  const next = `${path}.next`;
  await writeFile(next, text, { mode: 0o600 });
  await rename(next, path);
}

/** What is written down in a directory. */
export async function readTrustRecord(dir: string): Promise<TrustRecord> {
  const text = await readIfThere(join(dir, RECORD));
  return text === undefined ? NOTHING_RECORDED : readRecord(text);
}

/** The request in a directory. */
export async function readTrustRequest(dir: string): Promise<RotationRequest | undefined> {
  const text = await readIfThere(join(dir, REQUEST));
  return text === undefined ? undefined : readRequest(text);
}

/** Puts a request into a directory that has none; `false`: it has one. */
export async function askInDirectory(dir: string, request: RotationRequest): Promise<boolean> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  try {
    await writeFile(join(dir, REQUEST), writeRequest(request), { mode: 0o600, flag: "wx" });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

/** Changes the request that is there. */
export async function replaceRequest(dir: string, request: RotationRequest): Promise<void> {
  await replace(join(dir, REQUEST), writeRequest(request));
}

/**
 * Finishes what an interruption left half done, before the issuer is opened: a certificate without its key is no issuer.
 */
export async function recoverIssuer(paths: IssuerPaths): Promise<void> {
  const dir = dirname(paths.certificates);
  const [{ rotation }, request] = await Promise.all([readTrustRecord(dir), readTrustRequest(dir)]);
  if (rotation.phase === "reissuing" && request?.issuer !== undefined)
    await writeIssuer(paths, request.issuer);
}

async function writeIssuer(
  paths: IssuerPaths,
  issuer: NonNullable<RotationRequest["issuer"]>,
): Promise<void> {
  await replace(paths.privateKey, issuer.privateKey);
  await replace(paths.certificates, issuer.certificates);
}

/** The store of the directory that the issuer's files are in. */
export function trustDirectory(
  paths: IssuerPaths,
  {
    proxies,
    written,
  }: {
    /** Who lives. */
    readonly proxies: () => readonly LiveProxy[];
    /** Hears that the issuer's files have changed. */
    readonly written: () => Promise<void>;
  },
): TrustStore {
  const dir = dirname(paths.certificates);
  return {
    read: () => readWorld(paths, proxies),
    save: async (record, version) => {
      const path = join(dir, RECORD);
      if (versionOf(await readIfThere(path)) !== version) return false;
      await replace(path, writeRecord(record));
      return true;
    },
    carryOut: async (act, { request }) => {
      switch (act.type) {
        case "write_bundle":
          await replace(paths.anchors, act.bundle.pem);
          return written();
        case "switch_issuer":
          if (request?.issuer === undefined) throw new Error("the request holds no issuer");
          await writeIssuer(paths, request.issuer);
          return written();
        case "forget_next":
          return rm(join(dir, REQUEST), { force: true });
      }
    },
    ask: (request) => askInDirectory(dir, request),
  };
}

function versionOf(recorded: string | undefined): string {
  return digest(new TextEncoder().encode(recorded ?? ""));
}

async function readWorld(
  { certificates, anchors }: IssuerPaths,
  proxies: () => readonly LiveProxy[],
): Promise<TrustWorld> {
  const dir = dirname(certificates);
  const [chain, pem, recorded, request] = await Promise.all([
    readFile(certificates, "utf8"),
    readFile(anchors, "utf8"),
    readIfThere(join(dir, RECORD)),
    readTrustRequest(dir),
  ]);
  const bundle = bundleOf(pem);
  return {
    record: recorded === undefined ? NOTHING_RECORDED : readRecord(recorded),
    version: versionOf(recorded),
    request,
    bundle,
    ...issuerOf(chain, bundle),
    proxies: proxies(),
    hasExternalRoots: false,
    hasExternalIssuer: false,
  };
}
