/** What is to be said of an object beside the others: every rule that its schema cannot hold. Pure. */
import type { Tagged } from "../model/objects.ts";
import type { InboundContext } from "./authz.ts";
import type { Finding } from "./finding.ts";
import { insideCluster, networkFindings } from "./finding_networks.ts";
import {
  externalFindings,
  faultFindings,
  limitFindings,
  localLimitFindings,
  meshTlsFindings,
  policyFindings,
  serverAuthorizationFindings,
} from "./finding_policies.ts";
import { routeFindings } from "./finding_routes.ts";
import { serverFindings } from "./finding_server.ts";
import { externalWorkloadFindings, profileFindings } from "./finding_workload.ts";

const NETWORKS = ["spec", "networks"];

/** The findings of an object that is to join `snapshot`; an object of its name in there is the one it replaces. */
export function findingsOf(tagged: Tagged, context: InboundContext): readonly Finding[] {
  const { snapshot, settings } = context;
  switch (tagged.kind) {
    case "Server":
      return serverFindings(tagged.object, snapshot);
    case "ServerAuthorization":
      return serverAuthorizationFindings(tagged.object, context);
    case "AuthorizationPolicy":
      return policyFindings(tagged.object, context);
    case "MeshTLSAuthentication":
      return meshTlsFindings(tagged.object, context);
    case "NetworkAuthentication":
      return networkFindings(tagged.object.networks, NETWORKS);
    case "EgressNetwork": {
      const networks = tagged.object.networks ?? [];
      const inside = insideCluster(networks, settings.clusterNetworks, NETWORKS);
      return [...networkFindings(networks, NETWORKS), ...inside];
    }
    case "HTTPRoute":
    case "GRPCRoute":
    case "TLSRoute":
    case "TCPRoute":
      return routeFindings(tagged, snapshot);
    case "HTTPLocalRateLimitPolicy":
      return localLimitFindings(tagged.object, context);
    case "HTTPRateLimitPolicy":
      return limitFindings(tagged.object, context);
    case "HTTPFaultInjection":
      return faultFindings(tagged.object, context);
    case "ExternalAuthorization":
      return externalFindings(tagged.object, context);
    case "ServiceProfile":
      return profileFindings(tagged.object, context);
    case "ExternalWorkload":
      return externalWorkloadFindings(tagged.object);
    // Their schemas say all that there is to say.
    case "HeaderAuthentication":
    case "JWTAuthentication":
    // Other people's kinds: what is wrong with them is a warning of the resolver's, not a reason to refuse them.
    case "EndpointSlice":
    case "Namespace":
    case "Node":
    case "Pod":
    case "Service":
    case "ServiceAccount":
      return [];
  }
}
