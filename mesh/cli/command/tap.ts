import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { Args, Flags } from "@oclif/core";
import { z } from "zod";
import { ControlError } from "@hauberk/mesh/standalone/control-client.ts";
import { TapWord, renderLine } from "@hauberk/viz/tap.ts";
import { LiveCommand, type LiveCluster } from "../live/command.ts";
import { LiveOptions, liveFlags } from "../live/where.ts";
import { EXIT } from "../mesh-command.ts";
import { clusterIssuer, issuerOf, tapCredentials } from "../tap-identity.ts";

/** Where proxies serve taps. */
const TAP_PORT = 4_190;

const Options = z.strictObject({
  ...LiveOptions,
  method: z.string().min(1).optional(),
  authority: z.string().min(1).optional(),
  path: z.string().min(1).optional(),
  limit: z.number().int().min(1).max(100_000).optional(),
  headers: z.boolean(),
});
type Options = z.infer<typeof Options>;
const Target = z.strictObject({ namespace: z.string(), pod: z.string().optional() });
type Target = z.infer<typeof Target>;

export class TapCommand extends LiveCommand {
  static override summary = "Show requests as they pass the proxies, until interrupted.";
  static override description =
    "Heads only, never bodies. Values of Authorization, Cookie and the like are not shown even with --headers. On a cluster, whoever may read the issuer's Secret may tap, where the value proxy.tapServiceName names an identity.";
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
    ...liveFlags,
    method: Flags.string({ summary: "Only requests with this method." }),
    authority: Flags.string({ summary: "Only requests whose authority begins so." }),
    path: Flags.string({ summary: "Only requests whose path begins so." }),
    limit: Flags.integer({ summary: "End after so many requests of each proxy." }),
    headers: Flags.boolean({ summary: "Show header fields, too.", default: false }),
  };

  async run(): Promise<void> {
    const parsed = await this.parse(TapCommand);
    const options = Options.parse({ ...parsed.flags });
    const target = Target.parse({ ...parsed.args });
    await this.live(options, {
      namespace: target.namespace,
      onCluster: (cluster) => this.#onCluster(cluster, options, target),
      standalone: (mesh) => this.#standalone(mesh, options, target),
    });
  }

  async #onCluster(
    { client, pods }: LiveCluster,
    options: Options,
    { namespace, pod }: Target,
  ): Promise<void> {
    const chosen = pods.filter(({ name }) => name.startsWith(pod ?? ""));
    const identity = chosen.find(({ tap }) => tap !== undefined)?.tap;
    if (identity === undefined)
      this.error(
        `no proxy of ${namespace}/${pod ?? "*"} lets anybody tap it: the value proxy.tapServiceName names the identity that may, for pods that are started then`,
        { exit: EXIT.unwell },
      );
    const targets = chosen
      .filter(({ tap }) => tap === identity)
      .map((one) => ({
        pod: `${one.namespace}/${one.name}`,
        host: "localhost",
        port: TAP_PORT,
        identity: one.identity,
      }));
    const { TapQuestion, tap } = await import("@hauberk/viz/tap.ts");
    const issuer = await clusterIssuer(client, options["linkerd-namespace"]);
    const question = TapQuestion.parse({ ...asked(options), targets, ...tapCredentials(issuer, identity) });
    const stop = new AbortController();
    process.once("SIGINT", () => stop.abort());
    await tap(
      question,
      stop.signal,
      (word) => this.#say(word, options),
      async ({ pod: of }) => {
        const [, name = ""] = of.split("/");
        return client.forward({ namespace, name, port: TAP_PORT }, stop.signal);
      },
    );
  }

  async #standalone(
    mesh: { readonly name: string; readonly state?: string | undefined },
    options: Options,
    { namespace, pod }: Target,
  ): Promise<void> {
    const paths = this.paths(mesh);
    const { pods } = await this.client(paths).status();
    const targets = pods.flatMap((one) =>
      one.identity !== undefined && one.namespace === namespace && one.name.startsWith(pod ?? "")
        ? [{ pod: `${one.namespace}/${one.name}`, host: one.ip, port: TAP_PORT, identity: one.identity }]
        : [],
    );
    if (targets.length === 0)
      this.error(`there is no meshed pod ${namespace}/${pod ?? "*"}`, { exit: EXIT.unwell });
    const question = { ...asked(options), targets, ...tapCredentials(await issuerOf(paths)) };
    for await (const word of words(paths.vizSocket, question)) this.#say(word, options);
  }

  #say(word: TapWord, { output }: Options): void {
    if (output === "json") this.log(JSON.stringify(word));
    else if ("error" in word) this.logToStderr(`${word.pod}: ${word.error}`);
    else this.log(renderLine(word));
  }
}

/** What is asked of each proxy. */
function asked({ method, authority, path, limit, headers }: Options) {
  return { method, authority, path, limit, headers };
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
