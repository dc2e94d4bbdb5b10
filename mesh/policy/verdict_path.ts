/** The one form of a path that proxies judge (`proxy/model/src/canonical.rs`, held together by shared vectors). Pure. */

const UNRESERVED = /[A-Za-z0-9\-._~]/;

/** Characters that no path may hold as they are. */
const RAW_REFUSED = /[\\;#?\0- \x7f-\u{10ffff}]/u;

/** A segment with its encoding in one form; `undefined` if it could be read in two ways. */
function canonicalSegment(raw: string): string | undefined {
  if (RAW_REFUSED.test(raw) || /%(?![0-9A-Fa-f]{2})/.test(raw)) return undefined;
  let isAmbiguous = false;
  const decoded = raw.replaceAll(/%([0-9A-Fa-f]{2})/g, (_all, digits: string) => {
    const octet = Number.parseInt(digits, 16);
    const character = String.fromCharCode(octet);
    if (character === "/" || character === "\\" || octet === 0) isAmbiguous = true;
    return octet < 0x80 && UNRESERVED.test(character) ? character : `%${digits.toUpperCase()}`;
  });
  return isAmbiguous ? undefined : decoded;
}

/** The canonical form of a path without query; `undefined` if servers could read it in two ways: the answer is 400. */
export function canonicalPath(path: string): string | undefined {
  if (!path.startsWith("/")) return path === "" || path === "*" ? path : undefined;
  const kept: string[] = [];
  let isOpen = false;
  for (const raw of path.split("/").slice(1)) {
    const segment = canonicalSegment(raw);
    if (segment === undefined) return undefined;
    isOpen = segment === "" || segment === "." || segment === "..";
    if (segment === "..") {
      if (kept.pop() === undefined) return undefined;
    } else if (!isOpen) kept.push(segment);
  }
  const joined = kept.map((segment) => `/${segment}`).join("");
  return isOpen || joined === "" ? `${joined}/` : joined;
}
