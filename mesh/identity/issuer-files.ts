/** The issuer's files: read, and read again when they change, so that a renewed issuer needs no restart. */
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { digest } from "@hauberk/crypto/digest.ts";
import { explainIssuer, openIssuer, type Issuer, type IssuerPem, type IssuerRefusal } from "./issuer.ts";

/** How often the files are compared. A Kubernetes secret takes up to a minute to arrive in a volume anyway. */
export const RELOAD_MS = 5_000;

/** Most bytes of one file. */
const FILE_BYTES_MAX = 1024 * 1024;

/** Where the files are: a secret of type `linkerd.io/tls` and the bundle of trust roots. */
export interface IssuerPaths {
  readonly certificates: string;
  readonly privateKey: string;
  readonly anchors: string;
}

/** What happened at a reload. */
export type Reloaded =
  | { readonly type: "unchanged" }
  | { readonly type: "replaced"; readonly issuer: Issuer }
  /** The files are wrong; what was loaded before stays in use. */
  | { readonly type: "kept"; readonly refusal: IssuerRefusal };

/** The issuer in use. Always one that was accepted. */
export class IssuerFiles {
  readonly #paths: IssuerPaths;
  #issuer: Issuer;
  #seen: string;

  private constructor(paths: IssuerPaths, issuer: Issuer, seen: string) {
    this.#paths = paths;
    this.#issuer = issuer;
    this.#seen = seen;
  }

  /** Reads the files for the first time; refuses to begin with a wrong issuer. */
  static async open(paths: IssuerPaths, nowMs: number): Promise<IssuerFiles> {
    const pem = await read(paths);
    const verdict = openIssuer(pem, nowMs);
    if (!verdict.ok) throw new Error(`${paths.certificates}: ${explainIssuer(verdict.refusal)}`);
    return new IssuerFiles(paths, verdict.issuer, fingerprint(pem));
  }

  get issuer(): Issuer {
    return this.#issuer;
  }

  /** Looks at the files once. A file that cannot be read counts as wrong, not as gone. */
  async reload(nowMs: number): Promise<Reloaded> {
    let pem: IssuerPem;
    try {
      pem = await read(this.#paths);
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      return { type: "kept", refusal: { code: "unreadable", detail } };
    }
    const seen = fingerprint(pem);
    if (seen === this.#seen) return { type: "unchanged" };
    const verdict = openIssuer(pem, nowMs);
    // Not remembered when refused: it may be half of a change, or valid a moment later.
    if (!verdict.ok) return { type: "kept", refusal: verdict.refusal };
    this.#seen = seen;
    this.#issuer = verdict.issuer;
    return { type: "replaced", issuer: verdict.issuer };
  }

  /** Looks at the files every [`RELOAD_MS`] until `signal`, and says what changed. */
  async follow(signal: AbortSignal, heard: (reloaded: Reloaded) => void): Promise<void> {
    for (;;) {
      try {
        await sleep(RELOAD_MS, undefined, { signal });
      } catch {
        return;
      }
      const reloaded = await this.reload(Date.now());
      if (reloaded.type !== "unchanged") heard(reloaded);
    }
  }
}

async function read({ certificates, privateKey, anchors }: IssuerPaths): Promise<IssuerPem> {
  const [first, second, third] = await Promise.all([certificates, privateKey, anchors].map(readBounded));
  return { certificates: first ?? "", privateKey: second ?? "", anchors: third ?? "" };
}

async function readBounded(path: string): Promise<string> {
  const bytes = await readFile(path);
  if (bytes.length > FILE_BYTES_MAX) throw new Error(`${path} has ${bytes.length} bytes`);
  return bytes.toString("utf8");
}

function fingerprint(pem: IssuerPem): string {
  return digest(new TextEncoder().encode(JSON.stringify([pem.certificates, pem.privateKey, pem.anchors])));
}
