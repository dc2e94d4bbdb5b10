/** Asks the control plane's processes and all proxies what cryptography they do. */
import { parseExposition } from "@hauberk/viz/exposition.ts";
import { seeCrypto } from "../compliance/look.ts";
import type { AskablePods, Looked } from "../world/command.ts";
import { controllerPorts } from "../world/scrape.ts";
import type { ComponentModule, FipsFacts } from "./fips.ts";

const FAMILY = "hauberk_crypto_module_info";

/** Everything that the profile's checks judge. Never rejects for one process that does not answer. */
export async function gatherFips(
  looked: Looked & { readonly pods: AskablePods },
  { controlPlane, namespace }: { readonly controlPlane: string; readonly namespace: string | undefined },
): Promise<FipsFacts> {
  const { inventory } = await seeCrypto(looked, namespace);
  const asked = await Promise.all(
    controllerPorts(looked.world.snapshot, controlPlane).map(
      async ({ pod, port }): Promise<ComponentModule | string> => {
        const name = `${pod.namespace}/${pod.name}:${port}`;
        try {
          return moduleIn(name, await looked.pods.askPort(port)(pod, "/metrics"));
        } catch (cause) {
          return `${name}: ${cause instanceof Error ? cause.message : String(cause)}`;
        }
      },
    ),
  );
  return {
    inventory,
    components: asked.filter((one) => typeof one !== "string"),
    silent: [...inventory.silent, ...asked.filter((one) => typeof one === "string")],
  };
}

/** What metrics say of their process's module; one that says nothing is not in approved mode. */
function moduleIn(name: string, metrics: string): ComponentModule {
  const [said] = parseExposition(metrics, (family) => family === FAMILY);
  return {
    name,
    module: said?.labels["module"] ?? "unknown",
    version: said?.labels["version"] ?? "unknown",
    isApproved: said?.labels["approved"] === "true",
  };
}
