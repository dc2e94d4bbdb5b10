/** For tests: authorities and their files as OpenSSL's own command makes them. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const OPENSSL_MS_MAX = 60_000;

/** A certificate with its key, as files of {@link Workshop.dir}. */
export type Made = { readonly certificate: string; readonly key: string };

/** What a certificate says. */
export type Wanted = {
  readonly name: string;
  /** Arguments of `genpkey`; ECDSA P-256 if absent. */
  readonly key?: readonly string[];
  /** Who signs it; itself if absent. */
  readonly signer?: Made;
  /** Lines of an extension file; a plain authority's if absent. */
  readonly extensions?: readonly string[];
  readonly days?: number;
  readonly digest?: string;
};

export const P256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"] as const;

/** What OpenSSL calls a curve, as arguments of `genpkey`. */
export function curve(name: string): readonly string[] {
  return [
    "-algorithm",
    "EC",
    "-pkeyopt",
    `ec_paramgen_curve:${name}`,
    "-pkeyopt",
    "ec_param_enc:named_curve",
  ];
}

/** RSA of so many bits, as arguments of `genpkey`. */
export function rsa(bits: number): readonly string[] {
  return ["-algorithm", "RSA", "-pkeyopt", `rsa_keygen_bits:${bits}`];
}

export const AUTHORITY = [
  "basicConstraints=critical,CA:true",
  "keyUsage=critical,keyCertSign,cRLSign",
] as const;

/** A folder in which OpenSSL works. */
export class Workshop {
  readonly dir = mkdtempSync(join(tmpdir(), "hauberk-authority-"));
  #made = 0;

  close(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Runs `openssl` in the folder. */
  openssl(...words: readonly string[]): Buffer {
    return execFileSync("openssl", [...words], {
      cwd: this.dir,
      timeout: OPENSSL_MS_MAX,
      stdio: ["ignore", "pipe", "ignore"],
    });
  }

  /** The bytes of a file that OpenSSL wrote. */
  read(file: string): Buffer {
    return readFileSync(join(this.dir, file));
  }

  /** Writes some files one after the other into one. */
  join(...files: readonly string[]): Buffer {
    return Buffer.concat(files.map((file) => this.read(file)));
  }

  /** Makes a key and a certificate for it. */
  make({ name, key = P256, signer, extensions = AUTHORITY, days = 400, digest = "sha256" }: Wanted): Made {
    this.#made += 1;
    const made = { certificate: `${this.#made}.crt`, key: `${this.#made}.key` };
    this.openssl("genpkey", ...key, "-out", made.key);
    this.certify(made, { name, signer, extensions, days, digest });
    return made;
  }

  /** Writes a certificate for a key that is there. */
  certify(
    { certificate, key }: Made,
    {
      name,
      signer,
      extensions = AUTHORITY,
      days = 400,
      digest = "sha256",
    }: Omit<Wanted, "key" | "signer"> & { readonly signer?: Made | undefined },
  ): void {
    writeFileSync(join(this.dir, "extensions"), `${extensions.join("\n")}\n`);
    this.openssl("req", "-new", "-key", key, "-subj", `/CN=${name}`, "-out", "request");
    const by =
      signer === undefined
        ? ["-signkey", key]
        : ["-CA", signer.certificate, "-CAkey", signer.key, "-CAcreateserial"];
    const dates = ["-days", String(days), `-${digest}`, "-extfile", "extensions"];
    this.openssl("x509", "-req", "-in", "request", ...by, ...dates, "-out", certificate);
  }
}
