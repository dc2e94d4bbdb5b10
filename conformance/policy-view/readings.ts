/** How backends read a request's target, host and role, and whether a rule covers what they read. Pure. */

/** A rule of policy. Empty parts match everything. */
export interface Rule {
  readonly kind: "exact" | "prefix";
  readonly path: string;
  readonly host: string;
  readonly role: string;
}

/** What a backend's HTTP library hands to the application. */
export interface Seen {
  readonly url: string;
  readonly host: string;
  readonly role: string | undefined;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function resolved(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") kept.pop();
    else if (segment !== "" && segment !== ".") kept.push(segment);
  }
  // An exact rule tells `/a` and `/a/` apart, and so do servers that resolve (RFC 3986 §5.2.4).
  const isOpen = kept.length > 0 && /\/\.{0,2}$/.test(path);
  return `/${kept.join("/")}${isOpen ? "/" : ""}`;
}

/** Paths that servers and frameworks make of one target: as it is, decoded, without dots and doubled slashes, without parameters. */
const READINGS: Readonly<Record<string, (path: string) => string>> = {
  raw: (path) => path,
  decoded,
  merged: (path) => path.replaceAll(/\/{2,}/g, "/"),
  resolved,
  "decoded, then resolved": (path) => resolved(decoded(path)),
  "resolved, then decoded": (path) => decoded(resolved(path)),
  "backslashes as slashes": (path) => resolved(decoded(path).replaceAll("\\", "/")),
  "without parameters": (path) => resolved(decoded(path.replaceAll(/;[^/]*/g, ""))),
};

function covers(rule: Rule, path: string): boolean {
  // A slash at the end is a matter of the framework.
  const [have, wanted] = [path.replace(/\/+$/, ""), rule.path.replace(/\/+$/, "")];
  if (rule.kind === "exact") return path === rule.path;
  return have === wanted || have.startsWith(`${wanted}/`);
}

/** The path of an absolute target, too. */
function pathOf(url: string): string {
  const path = url.split("?", 1)[0] ?? "";
  return path.startsWith("/") ? path : path.replace(/^[a-z]+:\/\/[^/]*/i, "") || "/";
}

/** What each way of reading says of the rule. */
export function verdicts(rule: Rule, seen: Seen): Readonly<Record<string, boolean>> {
  const host = seen.host.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
  const others = (rule.host === "" || host === rule.host) && (rule.role === "" || seen.role === rule.role);
  const path = pathOf(seen.url);
  return Object.fromEntries(
    Object.entries(READINGS).map(([name, read]) => [name, others && covers(rule, read(path))]),
  );
}
