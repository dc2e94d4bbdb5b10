import type { PodStatus } from "@hauberk/mesh/standalone/control-protocol.ts";
import { shortIdentity } from "@hauberk/viz/tables.ts";
import { renderTable } from "@hauberk/viz/table.ts";

/** The pods of a mesh. */
export function podTable(pods: readonly PodStatus[]): string {
  return renderTable<PodStatus>(
    [
      { title: "NAMESPACE", value: ({ namespace }) => namespace },
      { title: "POD", value: ({ name }) => name },
      { title: "IP", value: ({ ip }) => ip },
      { title: "READY", value: ({ ready }) => (ready ? "yes" : "no") },
      { title: "STATUS", value: ({ phase }) => phase },
      { title: "RESTARTS", value: ({ restarts }) => String(restarts), align: "right" },
      { title: "IDENTITY", value: ({ identity }) => shortIdentity(identity ?? "") },
      { title: "PROBLEM", value: ({ problem }) => problem ?? "" },
    ],
    pods,
  );
}
