/** ExternalWorkloads and ServiceProfiles: names that have to be of a form. Pure. */
import { keyOf } from "../model/meta.ts";
import type { ServiceProfile } from "../model/profile.ts";
import type { RequestCondition, ResponseCondition } from "../model/profile.ts";
import type { ExternalWorkload } from "../model/workload.ts";
import type { InboundContext } from "./authz.ts";
import { error, warning, type Finding } from "./finding.ts";
import { regexProblem } from "./finding_regex.ts";

const FQDN = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$/;
const SPIFFE = /^spiffe:\/\/[a-z0-9._-]{1,255}(\/[A-Za-z0-9._-]+)+$/;

/** The first thing in a condition that can never hold. */
function requestProblem(condition: RequestCondition): string | undefined {
  switch (condition.type) {
    case "all":
    case "any":
      return condition.of.map(requestProblem).find((problem) => problem !== undefined);
    case "not":
      return requestProblem(condition.of);
    case "path":
      return regexProblem(condition.regex);
    case "method":
      return /^[A-Za-z]+$/.test(condition.method)
        ? undefined
        : `${JSON.stringify(condition.method)} is no method`;
  }
}

function responseProblem(condition: ResponseCondition): string | undefined {
  switch (condition.type) {
    case "all":
    case "any":
      return condition.of.map(responseProblem).find((problem) => problem !== undefined);
    case "not":
      return responseProblem(condition.of);
    case "status":
      return condition.min <= condition.max
        ? undefined
        : `status from ${condition.min} to ${condition.max} is none`;
  }
}

/** A profile's name is the service's: that of a service of the cluster, or any other full name. */
export function profileFindings(
  { meta, routes, dstOverrides }: ServiceProfile,
  { settings, snapshot }: InboundContext,
): readonly Finding[] {
  const findings: Finding[] = [];
  const named = FQDN.test(meta.name)
    ? undefined
    : `must be the full name of a service, as in web.shop.svc.${settings.clusterDomain}`;
  if (named !== undefined) findings.push(error(["metadata", "name"], named));
  const [, name, namespace, domain] = /^([^.]+)\.([^.]+)\.svc\.(.+)$/.exec(meta.name) ?? [];
  if (domain !== undefined && domain !== settings.clusterDomain)
    findings.push(
      warning(["metadata", "name"], `the cluster's services end in .svc.${settings.clusterDomain}`),
    );
  else if (name !== undefined && namespace !== undefined && !snapshot.Service.has(keyOf({ namespace, name })))
    findings.push(warning(["metadata", "name"], `Service ${namespace}/${name} does not exist yet`));
  const seen = new Set<string>();
  for (const [at, route] of routes.entries()) {
    const path = ["spec", "routes", at];
    if (seen.has(route.name))
      findings.push(error([...path, "name"], `${JSON.stringify(route.name)} names two routes`));
    seen.add(route.name);
    const problem = requestProblem(route.condition);
    if (problem !== undefined) findings.push(error([...path, "condition"], problem));
    for (const [index, { condition }] of route.responseClasses.entries()) {
      const wrong = responseProblem(condition);
      if (wrong !== undefined) findings.push(error([...path, "responseClasses", index, "condition"], wrong));
    }
  }
  if (dstOverrides.length > 0 && dstOverrides.every(({ weight }) => weight === 0))
    findings.push(warning(["spec", "dstOverrides"], "no weight is above zero: nothing is sent there"));
  return findings;
}

export function externalWorkloadFindings({
  identity,
  serverName,
  ports,
}: ExternalWorkload): readonly Finding[] {
  const findings: Finding[] = [];
  const tls = ["spec", "meshTLS"];
  const isNamed = identity.includes("://") ? SPIFFE.test(identity) : FQDN.test(identity);
  if (!isNamed)
    findings.push(error([...tls, "identity"], "must be a SPIFFE ID (spiffe://DOMAIN/PATH) or a DNS name"));
  if (!FQDN.test(serverName)) findings.push(error([...tls, "serverName"], "must be a full DNS name"));
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [at, { name, port, protocol }] of ports.entries()) {
    const path = ["spec", "ports", at];
    if (name !== "" && names.has(name)) findings.push(error([...path, "name"], `${name} names two ports`));
    if (numbers.has(`${port}/${protocol}`))
      findings.push(error([...path, "port"], `${port}/${protocol} is there twice`));
    names.add(name);
    numbers.add(`${port}/${protocol}`);
  }
  return findings;
}
