import { Args } from "@oclif/core";
import { z } from "zod";
import { EXIT } from "../mesh-command.ts";
import { Output, outputFlag, WorldCommand, worldFlags, WorldOptions } from "../world/command.ts";

const Options = z.strictObject({ ...WorldOptions, output: Output });

export class AuthzCommand extends WorldCommand {
  static override summary = "List the authorizations of a workload, Service or Server.";
  static override description =
    "What lets clients in at each port: policies, older authorizations, defaults, and for which route.";
  static override examples = [
    "<%= config.bin %> authz -n shop deploy/web",
    "<%= config.bin %> authz -n shop svc/web:80",
    "<%= config.bin %> authz -f manifests/ -n shop srv/web -o json",
  ];
  static override args = {
    resource: Args.string({ description: "KIND/NAME[:PORT], as in deploy/web.", required: true }),
  };
  static override flags = { ...worldFlags, output: outputFlag };

  async run(): Promise<void> {
    const parsed = await this.parse(AuthzCommand);
    const options = Options.parse({ ...parsed.flags });
    const { resource } = z.strictObject({ resource: z.string() }).parse({ ...parsed.args });
    const [{ destinationOf }, { portsAt }, { authorizationsAt }, { describeGround }, { renderTable }] =
      await Promise.all([
        import("../world/words.ts"),
        import("@hauberk/mesh/policy/question.ts"),
        import("@hauberk/mesh/policy/listing.ts"),
        import("@hauberk/mesh/policy/verdict.ts"),
        import("@hauberk/viz/table.ts"),
      ]);
    const to = destinationOf(resource, options.namespace);
    if (to === undefined)
      this.error(`${resource} is not KIND/NAME[:PORT], as in deploy/web`, { exit: EXIT.usage });
    const world = await this.world(options);
    const ports = portsAt(to, world);
    if (ports.length === 0)
      this.error(`${resource} in namespace ${options.namespace} has no such port, or is not there`, {
        exit: EXIT.unwell,
      });
    const rows = authorizationsAt(ports, world);
    const name = (ground: Parameters<typeof describeGround>[0] | undefined, none: string) =>
      ground === undefined ? none : describeGround(ground);
    const table = renderTable(
      [
        { title: "PORT", value: ({ port }) => String(port), align: "right" },
        { title: "SERVER", value: ({ server }) => describeGround(server) },
        { title: "ROUTE", value: ({ route }) => name(route, "*") },
        { title: "AUTHORIZATION", value: ({ by }) => name(by, "-") },
        { title: "CLIENTS", value: ({ clients }) => clients },
      ],
      rows,
    );
    this.print(options.output, { table, json: rows });
  }
}
