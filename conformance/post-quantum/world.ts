/** Two servers in one mesh, one of which requires a post-quantum group, and a client without a proxy. */
import { TestMesh } from "../mesh/mesh.ts";
import { namespace, service } from "../mesh/objects.ts";
import { AppPort } from "../mesh/ports.ts";

const ports = Object.values(AppPort);
const identityOnly = { "config.linkerd.io/default-inbound-policy": "all-authenticated" };
const requiring = { ...identityOnly, "config.hauberk.io/post-quantum": "require" };

export const OUTSIDE = "outside-0";
export const PREFERRING = "lax-0";
export const REQUIRING = "strict-0";

export function startWorld(): Promise<TestMesh> {
  return TestMesh.start({
    clients: [
      { name: "alice", namespace: "callers", account: "alice" },
      { name: "outside", namespace: "outside" },
    ],
    servers: [
      { name: "lax", namespace: "servers", annotations: identityOnly },
      { name: "strict", namespace: "servers", annotations: requiring },
    ],
    more: [
      ...namespace("callers", { isMeshed: true, accounts: ["alice"] }),
      ...namespace("outside", { isMeshed: false }),
      ...namespace("servers", { isMeshed: true }),
      service("lax", "servers", { app: "lax", ports }),
      service("strict", "servers", { app: "strict", ports }),
    ],
  });
}
