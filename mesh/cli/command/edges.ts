import { z } from "zod";
import { activeEdges, edgeTable } from "@hauberk/viz/tables.ts";
import { LiveCommand } from "../live/command.ts";
import { LiveOptions, isClusterMeant, liveFlags } from "../live/where.ts";

/** Edges are shown while there was traffic in this time. */
const WINDOW_MS = 30_000;
/** On a cluster, where it is waited for. */
const WAIT_MS = 10_000;
const Options = z.strictObject(LiveOptions);

export class EdgesCommand extends LiveCommand {
  static override summary = "Show who talks to whom, with the identities and the TLS facts of both ends.";
  static override flags = liveFlags;

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(EdgesCommand)).flags });
    const windowMs = isClusterMeant(options, process.env) ? WAIT_MS : WINDOW_MS;
    const edges = activeEdges(await this.report(options, windowMs));
    this.print(options.output, { table: edgeTable(edges), json: edges });
  }
}
