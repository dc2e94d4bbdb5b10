/** An issuer from a file of an authority's, for the commands that take one: opened, judged, refused by one sentence. */
import { open } from "node:fs/promises";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import {
  explainContainer,
  readContainer,
  type ContainerVerdict,
  type Contents,
} from "@hauberk/crypto/container.ts";
import { PEM_BYTES_MAX } from "@hauberk/crypto/pem.ts";
import {
  explainImport,
  explainWarning,
  importIssuer,
  type Imported,
} from "@hauberk/mesh/identity/issuer-import.ts";

/** Most bytes of a password's file; its text is one line. */
const PASSWORD_BYTES_MAX = 4096;

/** Where an issuer and what belongs to it lie. */
export interface IssuerFile {
  readonly file: string;
  readonly passwordFile: string | undefined;
  readonly rootFile: string | undefined;
}

/** The file does not make an issuer. Its message names the file, what is wrong, and what to do. */
export class IssuerFileError extends Error {
  override readonly name = "IssuerFileError";
  readonly code: string;
  constructor(file: string, { code, sentence }: { readonly code: string; readonly sentence: string }) {
    super(`${file}: ${sentence} (${code})`);
    this.code = code;
  }
}

/** Opens and judges an issuer. `warn` is given what is worth knowing of one that is taken. */
export async function openIssuerFile(
  { file, passwordFile, rootFile }: IssuerFile,
  { nowMs, warn }: { readonly nowMs: number; readonly warn: (sentence: string) => void },
): Promise<Imported> {
  const password = passwordFile === undefined ? undefined : await readPassword(passwordFile);
  const contents = await contentsOf(file, password);
  const roots = rootFile === undefined ? undefined : (await contentsOf(rootFile, password)).certificates;
  if (rootFile !== undefined && roots?.length === 0)
    throw new IssuerFileError(rootFile, {
      code: "no_certificate",
      sentence: "there is no certificate in it",
    });
  const verdict = importIssuer({ contents, roots }, nowMs);
  if (!verdict.ok) {
    const { refusal } = verdict;
    throw new IssuerFileError(file, { code: refusal.code, sentence: explainImport(refusal) });
  }
  for (const warning of verdict.imported.warnings) warn(`${file}: ${explainWarning(warning)}`);
  return verdict.imported;
}

async function contentsOf(file: string, password: string | undefined): Promise<Contents> {
  const bytes = await readAtMost(file, PEM_BYTES_MAX);
  let verdict: ContainerVerdict = await readContainer(bytes, { password });
  if (!verdict.ok && verdict.refusal.code === "password_needed" && process.stdin.isTTY)
    verdict = await readContainer(bytes, { password: await askPassword(file) });
  if (verdict.ok) return verdict.contents;
  throw new IssuerFileError(file, {
    code: verdict.refusal.code,
    sentence: explainContainer(verdict.refusal),
  });
}

async function readPassword(file: string): Promise<string> {
  const bytes = await readAtMost(file, PASSWORD_BYTES_MAX);
  if (bytes.length > PASSWORD_BYTES_MAX)
    throw new IssuerFileError(file, {
      code: "password_too_long",
      sentence: `a password has at most ${PASSWORD_BYTES_MAX} bytes: is it the right file?`,
    });
  // An editor ends the line; the password is what stands on it.
  return bytes.toString("utf8").replace(/\r?\n$/, "");
}

/** The file, or its beginning with one byte too many; it may be a pipe. */
async function readAtMost(file: string, bytesMax: number): Promise<Buffer> {
  const handle = await open(file);
  try {
    const parts: Buffer[] = [];
    let size = 0;
    while (size <= bytesMax) {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(bytesMax + 1 - size));
      if (bytesRead === 0) break;
      parts.push(buffer.subarray(0, bytesRead));
      size += bytesRead;
    }
    return Buffer.concat(parts);
  } finally {
    await handle.close();
  }
}

/** Asks at the terminal; what is typed is not shown. */
async function askPassword(file: string): Promise<string> {
  process.stderr.write(`Password of ${file}: `);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  try {
    return await lines.question("");
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}
