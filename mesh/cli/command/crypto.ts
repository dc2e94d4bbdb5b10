import { Flags } from "@oclif/core";
import { z } from "zod";
import { cliVersion } from "../version.ts";
import { EXIT } from "../mesh-command.ts";
import { WorldCommand, worldFlags, WorldOptions } from "../world/command.ts";

const Options = z.strictObject({
  ...WorldOptions,
  namespace: WorldOptions.namespace.optional(),
  output: z.enum(["table", "json", "cyclonedx", "metrics"]),
});

export class CryptoInventoryCommand extends WorldCommand {
  static override summary = "List the cryptography in use between all workloads, as their proxies count it.";
  static override description =
    "Per edge: TLS version, cipher suite, key exchange group, type of key, signature algorithm, module and the time that is left to its certificates; then everything that goes without the mesh's TLS. " +
    "-o cyclonedx prints a CycloneDX 1.6 bill of cryptographic materials, -o metrics a Prometheus exposition.";
  static override examples = [
    "<%= config.bin %> crypto inventory",
    "<%= config.bin %> crypto inventory --state DIR -o cyclonedx > cbom.json",
  ];
  static override flags = {
    ...worldFlags,
    namespace: Flags.string({ char: "n", summary: "Proxies of this namespace; all otherwise." }),
    output: Flags.string({
      char: "o",
      summary: "How to print.",
      options: ["table", "json", "cyclonedx", "metrics"],
      default: "table",
    }),
  };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(CryptoInventoryCommand)).flags });
    if (options.filename !== undefined)
      this.error("manifests use no cryptography: name a cluster or --state", { exit: EXIT.usage });
    const [{ seeCrypto }, { inventoryTable }, { cbomOf }, { edgeRows, inventoryMetrics }] = await Promise.all(
      [
        import("../compliance/look.ts"),
        import("../compliance/inventory-table.ts"),
        import("@hauberk/compliance/inventory/cbom.ts"),
        import("@hauberk/compliance/inventory/print.ts"),
      ],
    );
    const looking = { ...options, namespace: options.namespace ?? "default" };
    const { inventory } = await this.withWorld(looking, ({ world, pods }) => {
      if (pods === undefined) return this.error("nothing runs there", { exit: EXIT.notRunning });
      return seeCrypto({ world, pods }, options.namespace);
    });
    for (const line of inventory.silent) this.warn(line);
    switch (options.output) {
      case "table":
        this.log(inventoryTable(inventory));
        break;
      case "json":
        this.log(JSON.stringify({ ...inventory, edges: edgeRows(inventory) }, undefined, 2));
        break;
      case "cyclonedx":
        this.log(cbomOf(inventory, { name: "mesh", version: cliVersion() }).trimEnd());
        break;
      case "metrics":
        this.log(inventoryMetrics(inventory).trimEnd());
        break;
    }
  }
}
