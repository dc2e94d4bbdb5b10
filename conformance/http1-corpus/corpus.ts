/** gunicorn's raw requests, in the notation of its test files. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export type Kind = "valid" | "invalid";

/** One case: the bytes to send and what gunicorn thinks of them. */
export interface RawRequest {
  readonly name: string;
  readonly kind: Kind;
  readonly bytes: Buffer;
}

/** All cases below `dir`, in order. */
export function readCorpus(dir: string): readonly RawRequest[] {
  const kinds: readonly Kind[] = ["valid", "invalid"];
  return kinds.flatMap((kind) =>
    readdirSync(join(dir, kind))
      .filter((file) => file.endsWith(".http"))
      .toSorted()
      .map((file) => ({
        name: `${kind}/${file.slice(0, -".http".length)}`,
        kind,
        bytes: addHost(decode(readFileSync(join(dir, kind, file)))),
      })),
  );
}

/** Line ends of the file mean nothing; `\r`, `\n`, `\000` and `\xHH` stand for their bytes. */
export function decode(file: Uint8Array): Buffer {
  const text = Buffer.from(file)
    .toString("latin1")
    .replaceAll("\n", "")
    .replaceAll(/\\x([0-9A-Fa-f]{2})/g, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    )
    .replaceAll("\\r", "\r")
    .replaceAll("\\n", "\n")
    .replaceAll("\\000", "\0");
  return Buffer.from(text, "latin1");
}

/** Gives an HTTP/1.1 request without Host the one that RFC 9112 §3.2 demands, so that a case tests what its name says. */
export function addHost(raw: Buffer): Buffer {
  const text = raw.toString("latin1");
  const end = text.indexOf("\r\n");
  if (end < 0 || !text.slice(0, end).includes("HTTP/1.1")) return raw;
  const [head = ""] = text.slice(end + 2).split("\r\n\r\n", 1);
  if (/^host\s*:/im.test(head)) return raw;
  return Buffer.from(`${text.slice(0, end)}\r\nHost: conformance.test\r\n${text.slice(end + 2)}`, "latin1");
}
