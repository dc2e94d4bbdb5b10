/** What holds for the whole mesh. */
import type { Cidr } from "./address.ts";
import type { AccessPolicy } from "./policy.ts";
import type { PortSet } from "./ports.ts";

export interface MeshSettings {
  /** DNS suffix of the cluster's services, as in `web.shop.svc.cluster.local`. */
  readonly clusterDomain: string;
  readonly trustDomain: string;
  /** Where the control plane lives; a part of every identity, and what `linkerd.io/control-plane-ns` must say. */
  readonly controlPlaneNamespace: string;
  /** Where addresses of the cluster lie; what is outside of it is egress. */
  readonly clusterNetworks: readonly Cidr[];
  /** Where probes come from; from there the paths of a pod's HTTP probes are open to all. Absent: the pod's own node. */
  readonly probeNetworks: readonly Cidr[] | undefined;
  /** For ports that no Server selects and no annotation speaks of. */
  readonly defaultInboundPolicy: AccessPolicy;
  /** Ports that are opaque where no annotation speaks. */
  readonly opaquePorts: PortSet;
  /** From which the tokens of sessions are made; without it there are no sessions. */
  readonly sessionSecret?: Uint8Array;
}
