/**
 * Which rule of which route a request follows at a server, in the precedence that proxies have
 * (`proxy/model/src/matching.rs`, held together by shared vectors). Pure.
 */
import type { GrpcMethodPattern } from "../api/gen/hauberk/proxy/v1/filters_pb.ts";
import type { GrpcRouteMatch } from "../api/gen/grpc_route_pb.ts";
import type { HeaderMatch, HostMatch, HttpRouteMatch, PathMatch } from "../api/gen/http_route_pb.ts";
import type { HttpRoute_Rule, GrpcRoute_Rule } from "../api/gen/inbound_pb.ts";
import { methodOfWire } from "../api/wire.ts";

/** A request, as far as policy looks at it. */
export interface AskedRequest {
  readonly method: string;
  /** With or without a port. */
  readonly authority: string;
  /** In the form that is judged, without query. */
  readonly path: string;
  readonly query: string;
  /** By name in lower case. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
}

/** Compared from the first number on; more is better. */
type Rank = readonly number[];

function isBetter(rank: Rank, than: Rank): boolean {
  for (const [at, value] of rank.entries()) {
    const other = than[at] ?? 0;
    if (value !== other) return value > other;
  }
  return false;
}

/** Whether an expression matches all of a text. One that cannot be read matches nothing. */
export function spans(pattern: string, text: string): boolean {
  const [, flags = "", rest = pattern] = /^\(\?([ims]+)\)(.*)$/su.exec(pattern) ?? [];
  try {
    return new RegExp(`^(?:${rest})$`, flags).test(text);
  } catch {
    return false;
  }
}

/** The host of an authority, without port and the dot at its end. */
function hostOf(authority: string): string {
  const [, host = authority] = /^(\[[^\]]*\]|[^:]*):\d*$/.exec(authority) ?? [];
  return host.replace(/\.$/, "").toLowerCase();
}

function hostRank(hosts: readonly HostMatch[], host: string): Rank | undefined {
  if (hosts.length === 0) return [0, 0];
  let best: Rank | undefined;
  for (const { match } of hosts) {
    const rank = oneHost(match, host);
    if (rank !== undefined && (best === undefined || isBetter(rank, best))) best = rank;
  }
  return best;
}

function oneHost(match: HostMatch["match"], host: string): Rank | undefined {
  switch (match.case) {
    case "exact":
      return hostOf(match.value) === host ? [2, 0] : undefined;
    case "suffix": {
      const labels = host.split(".").toReversed();
      const wanted = match.value.reverseLabels;
      const isBelow =
        wanted.every((label, at) => labels[at] === label.toLowerCase()) &&
        (labels[wanted.length] ?? "") !== "";
      return isBelow ? [1, wanted.length] : undefined;
    }
    case undefined:
      return undefined;
  }
}

const EXACT_PATH = 2;
const PREFIX_PATH = 1;
const REGEX_PATH = 0;

function pathRank(wanted: PathMatch | undefined, path: string): Rank | undefined {
  const kind = wanted?.kind;
  switch (kind?.case) {
    case undefined:
      return [1, PREFIX_PATH];
    case "exact":
      return kind.value === path ? [path.length, EXACT_PATH] : undefined;
    case "prefix": {
      const prefix = kind.value.replace(/\/+$/, "");
      if (prefix === "") return [1, PREFIX_PATH];
      return path === prefix || path.startsWith(`${prefix}/`) ? [prefix.length, PREFIX_PATH] : undefined;
    }
    case "regex":
      return spans(kind.value, path) ? [path.length, REGEX_PATH] : undefined;
  }
}

const TEXT = new TextDecoder("latin1");

function headerMatches({ name, value }: HeaderMatch, headers: AskedRequest["headers"]): boolean {
  const values = headers.get(name.toLowerCase());
  if (values === undefined || values.length === 0) return false;
  // All values count: none may hide behind the first.
  const joined = values.join(",");
  switch (value.case) {
    case "exact":
      return TEXT.decode(value.value) === joined;
    case "regex":
      return spans(value.value, joined);
    case undefined:
      return false;
  }
}

function formDecoded(text: string): string {
  const octets = text
    .replaceAll("+", " ")
    .replaceAll(/%([0-9A-Fa-f]{2})/g, (_all, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    );
  return octets;
}

/** The first parameter of the name decides. */
function queryMatches({ name, value }: HttpRouteMatch["queryParams"][number], query: string): boolean {
  for (const pair of query.split("&").filter((part) => part !== "")) {
    const [given = "", ...rest] = pair.split("=");
    if (formDecoded(given) !== name) continue;
    const text = formDecoded(rest.join("="));
    switch (value.case) {
      case "exact":
        return value.value === text;
      case "regex":
        return spans(value.value, text);
      case undefined:
        return false;
    }
  }
  return false;
}

function httpRank(match: HttpRouteMatch, request: AskedRequest): Rank | undefined {
  if (match.method !== undefined && methodOfWire(match.method) !== request.method) return undefined;
  const path = pathRank(match.path, request.path);
  if (path === undefined) return undefined;
  if (!match.headers.every((header) => headerMatches(header, request.headers))) return undefined;
  if (!match.queryParams.every((param) => queryMatches(param, request.query))) return undefined;
  return [...path, match.method === undefined ? 0 : 1, match.headers.length, match.queryParams.length];
}

/** Service and method of a call. */
function callOf(path: string): { readonly service: string; readonly method: string } | undefined {
  const [, service, method] = /^\/(.+)\/([^/]+)$/.exec(path) ?? [];
  return service === undefined || method === undefined ? undefined : { service, method };
}

function nameRank(exact: string, pattern: string, called: string | undefined): Rank | undefined {
  if (exact === "" && pattern === "") return [0, 0];
  if (called === undefined) return undefined;
  if (pattern !== "") return spans(pattern, called) ? [called.length, 0] : undefined;
  return exact === called ? [called.length, 1] : undefined;
}

function grpcRank(
  match: GrpcRouteMatch,
  pattern: GrpcMethodPattern | undefined,
  request: AskedRequest,
): Rank | undefined {
  const call = callOf(request.path);
  const service = nameRank(match.rpc?.service ?? "", pattern?.service ?? "", call?.service);
  const method = nameRank(match.rpc?.method ?? "", pattern?.method ?? "", call?.method);
  if (service === undefined || method === undefined) return undefined;
  if (!match.headers.every((header) => headerMatches(header, request.headers))) return undefined;
  return [...service, ...method, match.headers.length];
}

/** A route with the ranks that its rules reach; the patterns of gRPC methods come from the extension. */
export interface Ruled<R> {
  readonly route: R;
  readonly hosts: readonly HostMatch[];
  readonly rules: readonly ((request: AskedRequest) => Rank | undefined)[];
}

function bestOf(ranks: readonly (Rank | undefined)[], everything: Rank): Rank | undefined {
  if (ranks.length === 0) return everything;
  let best: Rank | undefined;
  for (const rank of ranks)
    if (rank !== undefined && (best === undefined || isBetter(rank, best))) best = rank;
  return best;
}

export function httpRule({ matches }: HttpRoute_Rule): Ruled<unknown>["rules"][number] {
  return (request) =>
    bestOf(
      matches.map((match) => httpRank(match, request)),
      [1, PREFIX_PATH, 0, 0, 0],
    );
}

export function grpcRule(
  { matches }: GrpcRoute_Rule,
  patterns: readonly GrpcMethodPattern[],
): Ruled<unknown>["rules"][number] {
  return (request) =>
    bestOf(
      matches.map((match, at) => grpcRank(match, patterns[at], request)),
      [0, 0, 0, 0, 0],
    );
}

/** The rule that a request follows; the first of equals. */
export function findRule<R>(
  routes: readonly Ruled<R>[],
  request: AskedRequest,
): { readonly route: R; readonly rule: number } | undefined {
  const host = hostOf(request.authority);
  let best: { readonly rank: Rank; readonly route: R; readonly rule: number } | undefined;
  for (const { route, hosts, rules } of routes) {
    const atHost = hostRank(hosts, host);
    if (atHost === undefined) continue;
    for (const [rule, rankOf] of rules.entries()) {
      const matched = rankOf(request);
      if (matched === undefined) continue;
      const rank = [...atHost, ...matched];
      if (best === undefined || isBetter(rank, best.rank)) best = { rank, route, rule };
    }
  }
  return best === undefined ? undefined : { route: best.route, rule: best.rule };
}

/** Whether any rule tells paths apart: only then is a path brought into its one form. */
export function judgesPath(rules: readonly HttpRoute_Rule[]): boolean {
  return rules
    .flatMap(({ matches }) => matches)
    .some(({ path }) => {
      const kind = path?.kind;
      if (kind?.case === "prefix") return kind.value.replace(/\/+$/, "") !== "";
      return kind?.case !== undefined;
    });
}
