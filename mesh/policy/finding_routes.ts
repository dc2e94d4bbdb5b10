/**
 * Routes of every kind, as far as they attach to something of the mesh: what attaches to a Gateway is its
 * controller's. Pure.
 *
 * The Gateway API says by conditions, not at admission, what an implementation cannot do or cannot find. So that is
 * refused in the routes of `policy.linkerd.io` only, and for the others it is a word to their author beside the condition.
 */
import type { Meta } from "../model/meta.ts";
import type {
  BackendRef,
  GrpcFilter,
  GrpcRoute,
  HttpFilter,
  HttpRoute,
  ParentRef,
  TcpRoute,
  TlsRoute,
  ValueMatch,
} from "../model/route.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { trafficPolicy } from "./annotations.ts";
import { resolveBackend } from "./backend.ts";
import { isOutboundOnly } from "./filters.ts";
import { error, warning, type Finding } from "./finding.ts";
import { regexProblem } from "./finding_regex.ts";
import { isMeshParent, parentRefused } from "./route_status.ts";

/** A route, and the kind that it is of. */
export type AnyRoute =
  | { readonly kind: "HTTPRoute"; readonly object: HttpRoute }
  | { readonly kind: "GRPCRoute"; readonly object: GrpcRoute }
  | { readonly kind: "TLSRoute"; readonly object: TlsRoute }
  | { readonly kind: "TCPRoute"; readonly object: TcpRoute };

/** How what the Gateway API leaves to conditions is said of this route. */
function conditional(route: AnyRoute): typeof error {
  return route.object.group === "policy.linkerd.io" ? error : warning;
}

function isOfServer({ kind }: ParentRef): boolean {
  return kind === "Server";
}

function parentFindings(route: AnyRoute, snapshot: Snapshot): readonly Finding[] {
  const { object, kind } = route;
  return object.parents.flatMap((parent, at) => {
    if (!isMeshParent(parent)) return [];
    const path = ["spec", "parentRefs", at];
    const refused = parentRefused({ kind, meta: object.meta }, parent, snapshot);
    if (refused === undefined) return [];
    const { reason, message } = refused;
    // What is not there may come yet; what is not allowed stays so.
    if (reason === "NotAllowedByListeners") return [error([...path, "kind"], message)];
    const isPortless = parent.kind === "EgressNetwork" && parent.port === undefined;
    return [isPortless ? error([...path, "port"], message) : warning([...path, "name"], message)];
  });
}

function backendFindings(
  route: AnyRoute,
  backends: readonly Omit<BackendRef<unknown>, "filters">[],
  { path, snapshot }: { readonly path: readonly PropertyKey[]; readonly snapshot: Snapshot },
): readonly Finding[] {
  const parents = route.object.parents.filter(isMeshParent);
  if (parents.every(isOfServer)) {
    if (backends.length === 0) return [];
    return [
      warning([...path, "backendRefs"], "has no effect on a Server: requests go to the workload itself"),
    ];
  }
  return backends.flatMap((backend, at) => {
    const where = [...path, "backendRefs", at];
    const isItsNetwork = parents.some(
      ({ kind, namespace, name }) =>
        kind === "EgressNetwork" &&
        backend.kind === kind &&
        backend.namespace === namespace &&
        backend.name === name,
    );
    if (isItsNetwork) return [];
    const resolved = resolveBackend(backend, snapshot);
    if (resolved.ok) return [];
    const { reason, message } = resolved.problem;
    switch (reason) {
      case "UnsupportedValue":
        return [error([...where, "port"], message)];
      case "InvalidKind":
        return [conditional(route)([...where, "kind"], message)];
      case "BackendNotFound":
        return [warning([...where, "name"], `${message}; until it is there its requests get 500`)];
    }
  });
}

function filterFindings(
  route: AnyRoute,
  filters: readonly (HttpFilter | GrpcFilter)[],
  path: readonly PropertyKey[],
): readonly Finding[] {
  const parents = route.object.parents.filter(isMeshParent);
  return filters.flatMap((filter, at) => {
    const where = [...path, "filters", at, "type"];
    if (filter.type === "Unsupported")
      return [
        conditional(route)(where, `filter ${filter.name} is not supported; requests of its rule get 500`),
      ];
    if (parents.some(isOfServer) && isOutboundOnly(filter))
      return [error(where, `filter ${filter.type} does not exist on a Server`)];
    return [];
  });
}

function valueFindings(matches: readonly ValueMatch[], path: readonly PropertyKey[]): readonly Finding[] {
  return matches.flatMap(({ type, value }, at) => {
    const problem = type === "RegularExpression" ? regexProblem(value) : undefined;
    return problem === undefined ? [] : [error([...path, at, "value"], problem)];
  });
}

function httpFindings({ rules }: HttpRoute): readonly Finding[] {
  return rules.flatMap(({ matches, timeouts }, at) => {
    const path = ["spec", "rules", at];
    const { requestMs = 0, backendRequestMs = 0 } = timeouts;
    const longer =
      requestMs > 0 && backendRequestMs > requestMs
        ? [error([...path, "timeouts", "backendRequest"], "must not be longer than timeouts.request")]
        : [];
    const values = matches.flatMap((match, index) => {
      const where = [...path, "matches", index];
      const problem = match.path.type === "RegularExpression" ? regexProblem(match.path.value) : undefined;
      return [
        ...(problem === undefined ? [] : [error([...where, "path", "value"], problem)]),
        ...valueFindings(match.headers, [...where, "headers"]),
        ...valueFindings(match.queryParams, [...where, "queryParams"]),
      ];
    });
    return [...longer, ...values];
  });
}

function grpcFindings({ rules }: GrpcRoute): readonly Finding[] {
  return rules.flatMap(({ matches }, at) =>
    matches.flatMap(({ type, service = "", method = "", headers }, index) => {
      const where = ["spec", "rules", at, "matches", index];
      const problem =
        type === "RegularExpression" ? (regexProblem(service) ?? regexProblem(method)) : undefined;
      return [
        ...(problem === undefined ? [] : [error([...where, "method"], problem)]),
        ...valueFindings(headers, [...where, "headers"]),
      ];
    }),
  );
}

/** Annotations of retries and timeouts that are not understood would be left out in silence. */
function annotationFindings(meta: Meta): readonly Finding[] {
  return trafficPolicy(meta).bad.map(({ name, value }) =>
    error(["metadata", "annotations", name], `${JSON.stringify(value)} is not understood`),
  );
}

function ruleFindings(route: AnyRoute, snapshot: Snapshot): readonly Finding[] {
  switch (route.kind) {
    case "TLSRoute":
    case "TCPRoute":
      return route.object.rules.flatMap(({ backends }, at) =>
        backendFindings(route, backends, { path: ["spec", "rules", at], snapshot }),
      );
    case "HTTPRoute":
    case "GRPCRoute":
      return [
        ...(route.kind === "HTTPRoute" ? httpFindings(route.object) : grpcFindings(route.object)),
        ...annotationFindings(route.object.meta),
        ...route.object.rules.flatMap(({ backends, filters, unsupported }, at) => {
          const path = ["spec", "rules", at];
          return [
            ...unsupported.map((what) =>
              conditional(route)(path, `${what} is not supported; requests of this rule get 500`),
            ),
            ...filterFindings(route, filters, path),
            ...backends.flatMap((backend, index) =>
              filterFindings(route, backend.filters, [...path, "backendRefs", index]),
            ),
            ...backendFindings(route, backends, { path, snapshot }),
          ];
        }),
      ];
  }
}

/** Of a route without a parent in the mesh, nothing is said. */
export function routeFindings(route: AnyRoute, snapshot: Snapshot): readonly Finding[] {
  if (!route.object.parents.some(isMeshParent)) return [];
  return [...parentFindings(route, snapshot), ...ruleFindings(route, snapshot)];
}
