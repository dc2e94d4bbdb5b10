/** PEM as RFC 7468 §3 writes it: strict labels, strict base64, nothing between the lines. */

/** Most bytes of a PEM file: a trust bundle of a few dozen certificates. */
export const PEM_BYTES_MAX = 1024 * 1024;

/** The text is not the PEM that was asked for. */
export class PemError extends Error {
  override readonly name = "PemError";
}

/** One encapsulated text. */
export type PemBlock = { readonly label: string; readonly der: Uint8Array };

const BLOCK = /-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,60})-----\r?\n([A-Za-z0-9+/=\r\n]*?)-----END \1-----/g;
const BOUNDARY = /-----(?:BEGIN|END) /g;

/** All blocks of a file, in order. Text around them is explanatory and ignored; a broken block is an error. */
export function readPem(text: string): readonly PemBlock[] {
  if (text.length > PEM_BYTES_MAX)
    throw new PemError(`${text.length} characters are more than ${PEM_BYTES_MAX}`);
  const blocks = Array.from(text.matchAll(BLOCK), ([, label = "", body = ""]) => ({
    label,
    der: base64(body),
  }));
  const boundaries = Array.from(text.matchAll(BOUNDARY)).length;
  if (boundaries !== 2 * blocks.length) throw new PemError("a PEM block is not well-formed");
  return blocks;
}

/** The blocks of a file that must hold nothing but `label`, at least one. */
export function readPemOf(text: string, label: string): readonly Uint8Array[] {
  const blocks = readPem(text);
  const other = blocks.find((block) => block.label !== label);
  if (other !== undefined) throw new PemError(`a block of ${other.label} where only ${label} belongs`);
  if (blocks.length === 0) throw new PemError(`no block of ${label}`);
  return blocks.map((block) => block.der);
}

/** One block, with lines of 64 characters and a newline at its end. */
export function writePem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

function base64(body: string): Uint8Array {
  const compact = body.replace(/[\r\n]/g, "");
  const der = Buffer.from(compact, "base64");
  // `Buffer` skips what it cannot read; only a text that it writes back alike was base64.
  if (der.length === 0 || der.toString("base64") !== compact) throw new PemError("a PEM block is not base64");
  return new Uint8Array(der);
}
