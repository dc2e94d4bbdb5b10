/** The order of Debian's versions (deb-version(7)). Pure. */

interface Parts {
  readonly epoch: number;
  readonly upstream: string;
  readonly revision: string;
}

function parse(version: string): Parts {
  const colon = version.indexOf(":");
  const rest = version.slice(colon + 1);
  const dash = rest.lastIndexOf("-");
  return {
    epoch: colon < 0 ? 0 : Number(version.slice(0, colon)),
    upstream: dash < 0 ? rest : rest.slice(0, dash),
    revision: dash < 0 ? "0" : rest.slice(dash + 1),
  };
}

/** A tilde sorts before the end, the end before letters, letters before everything else. */
function weight(char: string | undefined): number {
  if (char === "~") return -1;
  if (char === undefined) return 0;
  return /[A-Za-z]/.test(char) ? char.charCodeAt(0) : char.charCodeAt(0) + 256;
}

function compareWords(a: string, b: string): number {
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const order = weight(a[index]) - weight(b[index]);
    if (order !== 0) return order;
  }
  return 0;
}

function compareNumbers(a: string, b: string): number {
  const [left, right] = [BigInt(a === "" ? "0" : a), BigInt(b === "" ? "0" : b)];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

const split = (text: string) =>
  [...text.matchAll(/(\D*)(\d*)/g)].map(([, word = "", digits = ""]) => ({ word, digits }));

/** Runs of other characters and of digits take turns. */
function compareText(a: string, b: string): number {
  const [left, right] = [split(a), split(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const { word: leftWord, digits: leftDigits } = left[index] ?? { word: "", digits: "" };
    const { word: rightWord, digits: rightDigits } = right[index] ?? { word: "", digits: "" };
    const order = compareWords(leftWord, rightWord) || compareNumbers(leftDigits, rightDigits);
    if (order !== 0) return order;
  }
  return 0;
}

/** Negative if `a` is older than `b`, positive if newer, 0 if neither. */
export function compareDebVersions(a: string, b: string): number {
  const [left, right] = [parse(a), parse(b)];
  return (
    left.epoch - right.epoch ||
    compareText(left.upstream, right.upstream) ||
    compareText(left.revision, right.revision)
  );
}
