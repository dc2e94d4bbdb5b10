/** Every kind that the mesh brings to a cluster. The Gateway API's own come from its project. */
import type { Definition } from "./definition.ts";
import { HAUBERK } from "./hauberk.ts";
import { POLICY } from "./policy.ts";
import { HTTP_ROUTE } from "./route.ts";
import { WORKLOAD } from "./workload.ts";

export const DEFINITIONS: readonly Definition[] = [...POLICY, HTTP_ROUTE, ...HAUBERK, ...WORKLOAD].toSorted(
  (a, b) => (`${a.group}/${a.plural}` < `${b.group}/${b.plural}` ? -1 : 1),
);
