/** Regular expressions as the proxy reads them (the `regex` crate's syntax). Pure. */

/** What the proxy's expressions do not have: they are matched in linear time. */
const LOOKAROUND = /\(\?(=|!|<=|<!)/;
const BACKREFERENCE = /(^|[^\\])(\\\\)*\\[1-9]/;

/** Flags of a group, which the language here writes otherwise. */
const FLAGS = /\(\?[imsUuxR]+(?:-[imsUuxR]+)?(\)|:)/g;

/** Escapes and classes that only the proxy has: the rest of such an expression is not judged here. */
const ITS_OWN = /\\[AzpPQEab<>]|\[\[:|&&|--|~~|\(\?P</;

/** Why an expression cannot be one; `undefined` if nothing is known against it. */
export function regexProblem(pattern: string): string | undefined {
  if (LOOKAROUND.test(pattern)) return `${JSON.stringify(pattern)}: there is no lookaround`;
  if (BACKREFERENCE.test(pattern)) return `${JSON.stringify(pattern)}: there are no backreferences`;
  if (ITS_OWN.test(pattern)) return undefined;
  const plain = pattern.replaceAll(FLAGS, (_all, end: string) => (end === ")" ? "" : "(?:"));
  return compiles(plain) ? undefined : `${JSON.stringify(pattern)} is not a regular expression`;
}

/** Without the flag `u`: with it a needless escape is a mistake, as in the proxy, but not the same ones are. */
function compiles(pattern: string): boolean {
  try {
    return new RegExp(pattern) instanceof RegExp;
  } catch {
    return false;
  }
}
