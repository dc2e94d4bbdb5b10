import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { Args, Flags } from "@oclif/core";
import { z } from "zod";
import { ControlError } from "@hauberk/mesh/standalone/control-client.ts";
import { TapWord, renderLine } from "@hauberk/viz/tap.ts";
import { EXIT, MeshCommand, MeshOptions, meshFlags } from "../mesh-command.ts";
import { tapCredentials } from "../tap-identity.ts";

/** Where proxies serve taps. */
const TAP_PORT = 4_190;

const Options = z.strictObject({
  ...MeshOptions,
  method: z.string().min(1).optional(),
  authority: z.string().min(1).optional(),
  path: z.string().min(1).optional(),
  limit: z.number().int().min(1).max(100_000).optional(),
  headers: z.boolean(),
});
const Target = z.strictObject({ namespace: z.string(), pod: z.string().optional() });

export class TapCommand extends MeshCommand {
  static override summary = "Show requests as they pass the proxies, until interrupted.";
  static override description =
    "Heads only, never bodies. Values of Authorization, Cookie and the like are not shown even with --headers.";
  static override examples = [
    "<%= config.bin %> viz tap prod",
    "<%= config.bin %> viz tap prod payments --path /pay --limit 10",
    "<%= config.bin %> viz tap prod -o json --headers",
  ];
  static override args = {
    namespace: Args.string({ description: "Pods of this namespace.", required: true }),
    pod: Args.string({ description: "Only pods whose name begins so." }),
  };
  static override flags = {
    ...meshFlags,
    method: Flags.string({ summary: "Only requests with this method." }),
    authority: Flags.string({ summary: "Only requests whose authority begins so." }),
    path: Flags.string({ summary: "Only requests whose path begins so." }),
    limit: Flags.integer({ summary: "End after so many requests of each proxy." }),
    headers: Flags.boolean({ summary: "Show header fields, too.", default: false }),
  };

  async run(): Promise<void> {
    const parsed = await this.parse(TapCommand);
    const { name, state, output, ...asked } = Options.parse({ ...parsed.flags });
    const { namespace, pod } = Target.parse({ ...parsed.args });
    const paths = this.paths({ name, state });
    const { pods } = await this.client(paths).status();
    const targets = pods.flatMap((one) =>
      one.identity !== undefined && one.namespace === namespace && one.name.startsWith(pod ?? "")
        ? [{ pod: `${one.namespace}/${one.name}`, host: one.ip, port: TAP_PORT, identity: one.identity }]
        : [],
    );
    if (targets.length === 0)
      this.error(`there is no meshed pod ${namespace}/${pod ?? "*"}`, { exit: EXIT.unwell });
    const question = { ...asked, targets, ...(await tapCredentials(paths)) };
    for await (const word of words(paths.vizSocket, question)) {
      if (output === "json") this.log(JSON.stringify(word));
      else if ("error" in word) this.logToStderr(`${word.pod}: ${word.error}`);
      else this.log(renderLine(word));
    }
  }
}

async function* words(socketPath: string, question: object): AsyncGenerator<TapWord, void> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request({ socketPath, method: "POST", path: "/tap" }, resolve)
    .on("error", (cause) =>
      reject(new ControlError("not_running", `nothing answers at ${socketPath}`, { cause })),
    )
    .end(JSON.stringify(question));
  for await (const line of createInterface({ input: await promise })) yield TapWord.parse(JSON.parse(line));
}
