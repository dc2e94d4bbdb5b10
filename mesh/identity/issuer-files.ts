/** The issuer's files: read, and read again when they change, so that a renewed issuer needs no restart. */
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { IssuerInForce, type IssuerCounts, type Offered } from "./issuer-in-force.ts";
import { explainIssuer, openIssuer, type Issuer, type IssuerPem } from "./issuer.ts";

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

/** The issuer in use. Always one that was accepted. */
export class IssuerFiles {
  readonly #paths: IssuerPaths;
  readonly #inForce = new IssuerInForce();
  #issuer: Issuer;

  private constructor(paths: IssuerPaths, issuer: Issuer) {
    this.#paths = paths;
    this.#issuer = issuer;
  }

  /** Reads the files for the first time; refuses to begin with a wrong issuer. */
  static async open(paths: IssuerPaths, nowMs: number): Promise<IssuerFiles> {
    const pem = await read(paths);
    const verdict = openIssuer(pem, nowMs);
    if (!verdict.ok) throw new Error(`${paths.certificates}: ${explainIssuer(verdict.refusal)}`);
    const files = new IssuerFiles(paths, verdict.issuer);
    files.#inForce.offer(pem, nowMs);
    return files;
  }

  get issuer(): Issuer {
    return this.#issuer;
  }

  get paths(): IssuerPaths {
    return this.#paths;
  }

  get counts(): Readonly<IssuerCounts> {
    return this.#inForce.counts;
  }

  /** Looks at the files once. A file that cannot be read counts as wrong, not as gone. */
  async reload(nowMs: number): Promise<Offered> {
    let pem: IssuerPem;
    try {
      pem = await read(this.#paths);
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      return this.#inForce.refuse({ code: "unreadable", detail }, detail);
    }
    const offered = this.#inForce.offer(pem, nowMs);
    if (offered.type === "replaced") this.#issuer = offered.issuer;
    return offered;
  }

  /** Looks at the files every [`RELOAD_MS`] until `signal`, and says what changed. */
  async follow(signal: AbortSignal, heard: (offered: Offered) => void): Promise<void> {
    for (;;) {
      try {
        await sleep(RELOAD_MS, undefined, { signal });
      } catch {
        return;
      }
      const offered = await this.reload(Date.now());
      if (offered.type !== "unchanged") heard(offered);
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
