/** What an API server and its controllers would have added to the accepted objects. Pure. */
import type { Tagged } from "../../model/objects.ts";
import type { Service } from "../../model/service.ts";
import type { ExternalWorkload, Pod } from "../../model/workload.ts";
import type { Accepted, AcceptedObject } from "./accept.ts";
import { assignClusterIps, type Collision } from "./cluster_ip.ts";
import type { Problem } from "./document.ts";
import { deriveEndpointSlices } from "./endpoint_slices.ts";

function name({ meta }: Service): string {
  return `Service ${meta.namespace}/${meta.name}`;
}

function describe({ ip, holder, loser }: Collision, sources: ReadonlyMap<Service, AcceptedObject>): Problem {
  const source = sources.get(loser);
  return {
    severity: "error",
    file: source?.file ?? "",
    line: source?.line ?? 0,
    object: name(loser),
    field: "spec.clusterIP",
    message: `${name(loser)} and ${name(holder)} would both have ${ip}; only the latter has it: set spec.clusterIP of one`,
  };
}

/** All objects, with cluster addresses and EndpointSlices filled in. */
export function complete(accepted: Accepted): {
  readonly objects: readonly Tagged[];
  readonly problems: readonly Problem[];
} {
  const objects: Tagged[] = [];
  const written = new Map<Service, AcceptedObject>();
  const pods: Pod[] = [];
  const workloads: ExternalWorkload[] = [];
  for (const source of accepted.objects.values()) {
    const { tagged } = source;
    if (tagged.kind === "Service") {
      written.set(tagged.object, source);
      continue;
    }
    if (tagged.kind === "Pod") pods.push(tagged.object);
    if (tagged.kind === "ExternalWorkload") workloads.push(tagged.object);
    objects.push(tagged);
  }
  const { services, collisions } = assignClusterIps([...written.keys()]);
  for (const object of services) objects.push({ kind: "Service", object });
  for (const object of deriveEndpointSlices(services, { pods, workloads })) {
    objects.push({ kind: "EndpointSlice", object });
  }
  const problems = collisions.map((collision) => describe(collision, written));
  return { objects, problems: [...accepted.problems, ...problems] };
}
