/** Requests and rules: past bypasses by name, and generated ones. */
import type { Chance } from "../differential/chance.ts";
import type { Rule } from "./readings.ts";

export interface Pair {
  readonly name: string;
  readonly rule: Rule;
  readonly request: string;
}

const admin: Rule = { kind: "prefix", path: "/admin", host: "", role: "" };
const get = (target: string, ...fields: readonly string[]): string =>
  [`GET ${target} HTTP/1.1`, "Host: a.test", ...fields, "", ""].join("\r\n");

/** What once led past the policy of a mesh or a proxy. */
export const KNOWN: readonly Pair[] = [
  { name: "doubled slashes (CVE-2021-31920, Istio)", rule: admin, request: get("//admin") },
  { name: "an encoded slash (CVE-2021-31920, Istio)", rule: admin, request: get("/x%2f..%2fadmin") },
  { name: "an encoded backslash (CVE-2021-29492, Envoy)", rule: admin, request: get("/x%5c..%5cadmin") },
  { name: "dot segments (CVE-2019-9901, Envoy)", rule: admin, request: get("/x/../admin") },
  { name: "encoded dot segments", rule: admin, request: get("/x/%2e%2e/admin") },
  { name: "an encoded letter", rule: admin, request: get("/%61dmin") },
  { name: "a fragment (CVE-2021-39156, Istio)", rule: admin, request: get("/admin#x") },
  { name: "an empty fragment", rule: { ...admin, kind: "exact" }, request: get("/admin#") },
  { name: "path parameters", rule: admin, request: get("/admin;x=y/z") },
  { name: "a NUL", rule: { ...admin, kind: "exact" }, request: get("/admin%00") },
  {
    name: "the case of a host (CVE-2021-39155, Istio)",
    rule: { ...admin, host: "a.test" },
    request: "GET /admin HTTP/1.1\r\nHost: A.TEST\r\n\r\n",
  },
  {
    name: "a host with a port",
    rule: { ...admin, host: "a.test" },
    request: "GET /admin HTTP/1.1\r\nHost: a.test:8080\r\n\r\n",
  },
  {
    name: "a host with a dot at its end",
    rule: { ...admin, host: "a.test" },
    request: "GET /admin HTTP/1.1\r\nHost: a.test.\r\n\r\n",
  },
  {
    name: "an absolute target with another host",
    rule: { ...admin, host: "b.test" },
    request: get("http://b.test/admin"),
  },
  {
    name: "a header that stands twice (CVE-2020-25017, Envoy)",
    rule: { ...admin, role: "user" },
    request: get("/admin", "X-Role: user", "X-Role: admin"),
  },
];

const SEGMENTS = [
  "admin",
  "x",
  "..",
  ".",
  "",
  "%2e%2e",
  "%2E.",
  "%61dmin",
  "ADMIN",
  "admin%2fx",
  "admin;a=b",
  "adm\\in",
  "%5c",
  "%00",
  "%",
  "a%20b",
  "admin.",
  "%25",
  "~",
  "%7e",
] as const;
const HOSTS = ["a.test", "A.Test", "a.test:80", "a.test.", "b.test", "a.test:", "x.a.test"] as const;
const ROLES = ["admin", "user", "Admin", " admin ", "admin,user", ""] as const;

function segment(chance: Chance): string {
  return chance.is(0.4) ? chance.one(["admin", "x"]) : chance.one(SEGMENTS);
}

/** The next pair. */
export function nextPair(chance: Chance): Pair {
  const path = Array.from({ length: 1 + chance.below(4) }, () => segment(chance)).join("/");
  const prefix = chance.is(0.1) ? `http://${chance.one(HOSTS)}` : "";
  const query = chance.is(0.2) ? chance.one(["?", "?a=/admin", "?../admin", "#x"]) : "";
  const roles = Array.from({ length: chance.below(3) }, () => `X-Role: ${chance.one(ROLES)}`);
  const lines = [`GET ${prefix}/${path}${query} HTTP/1.1`, `Host: ${chance.one(HOSTS)}`, ...roles, "", ""];
  const rule: Rule = {
    kind: chance.one(["exact", "prefix"]),
    path: chance.one(["/admin", "/admin/x", "/x", "/x/admin"]),
    host: chance.is(0.3) ? "a.test" : "",
    role: chance.is(0.3) ? chance.one(["admin", "user"]) : "",
  };
  return { name: "generated", rule, request: lines.join("\r\n") };
}
