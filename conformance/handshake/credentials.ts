/** Certificates for the prober, good and bad, made by openssl below the mesh's issuer. */
import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ClientCredentials } from "./prober.ts";

const run = promisify(execFile);

/** An issuer as two PEM texts. */
export interface IssuerPem {
  readonly certificate: string;
  readonly privateKey: string;
}

/** What a leaf says. */
export interface LeafContent {
  readonly dns: string;
  readonly uri: string;
  /** Days from now; negative for one that has ended. */
  readonly days: number;
  readonly isAuthority?: boolean;
  readonly purpose?: string;
}

/** Issues a leaf with a fresh key; the chain has the issuer after it. */
export async function issue(issuer: IssuerPem, content: LeafContent): Promise<ClientCredentials> {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-prober-"));
  const file = (name: string): string => join(dir, name);
  try {
    await writeFile(file("issuer.pem"), issuer.certificate);
    await writeFile(file("issuer.key"), issuer.privateKey, { mode: 0o600 });
    await writeFile(
      file("leaf.cnf"),
      [
        "[leaf]",
        `basicConstraints=critical,CA:${content.isAuthority === true ? "TRUE" : "FALSE"}`,
        "keyUsage=critical,digitalSignature",
        `extendedKeyUsage=${content.purpose ?? "serverAuth,clientAuth"}`,
        `subjectAltName=critical,DNS:${content.dns},URI:${content.uri}`,
      ].join("\n"),
    );
    const openssl = (args: readonly string[]): Promise<unknown> => run("openssl", args, { cwd: dir });
    await openssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "raw.key"]);
    await openssl(["pkcs8", "-topk8", "-nocrypt", "-in", "raw.key", "-out", "leaf.key"]);
    // openssl 3.0 wants a subject in the request; the leaf has none that matters.
    await openssl(["req", "-new", "-key", "leaf.key", "-subj", "/CN=prober", "-out", "leaf.csr"]);
    await openssl([
      "x509",
      "-req",
      "-in",
      "leaf.csr",
      "-CA",
      "issuer.pem",
      "-CAkey",
      "issuer.key",
      "-sha256",
      "-set_serial",
      `0x${Buffer.from(crypto.getRandomValues(new Uint8Array(15))).toString("hex")}1`,
      "-days",
      String(content.days),
      "-extfile",
      "leaf.cnf",
      "-extensions",
      "leaf",
      "-out",
      "leaf.pem",
    ]);
    const leaf = new X509Certificate(await readFile(file("leaf.pem")));
    return {
      chain: [leaf.raw, new X509Certificate(issuer.certificate).raw],
      privateKeyPem: await readFile(file("leaf.key"), "utf8"),
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** A certificate authority that nobody trusts, or that a test server does. */
export async function newAuthority(name: string): Promise<IssuerPem> {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-prober-"));
  try {
    await run("openssl", ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "raw.key"], {
      cwd: dir,
    });
    await run("openssl", ["pkcs8", "-topk8", "-nocrypt", "-in", "raw.key", "-out", "ca.key"], { cwd: dir });
    await run(
      "openssl",
      [
        "req",
        "-x509",
        "-new",
        "-key",
        "ca.key",
        "-sha256",
        "-days",
        "30",
        "-subj",
        `/CN=${name}`,
        "-addext",
        "keyUsage=critical,keyCertSign",
        "-out",
        "ca.pem",
      ],
      { cwd: dir },
    );
    return {
      certificate: await readFile(join(dir, "ca.pem"), "utf8"),
      privateKey: await readFile(join(dir, "ca.key"), "utf8"),
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
