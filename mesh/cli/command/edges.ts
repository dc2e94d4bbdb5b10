import { z } from "zod";
import { activeEdges, edgeTable } from "@hauberk/viz/tables.ts";
import { MeshCommand, MeshOptions, meshFlags } from "../mesh-command.ts";
import { readReport } from "../viz-client.ts";

/** Edges are shown while there was traffic in this time. */
const WINDOW_MS = 30_000;
const Options = z.strictObject(MeshOptions);

export class EdgesCommand extends MeshCommand {
  static override summary = "Show who talks to whom, with the identities and the TLS facts of both ends.";
  static override flags = meshFlags;

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(EdgesCommand)).flags });
    const edges = activeEdges(await readReport(this.paths(options), WINDOW_MS));
    this.print(options.output, { table: edgeTable(edges), json: edges });
  }
}
