import { Flags } from "@oclif/core";
import { z } from "zod";
import { ControlError } from "@hauberk/mesh/standalone/control-client.ts";
import { knownMeshes } from "@hauberk/mesh/standalone/state.ts";
import { ClusterOptions, clusterFlags, connectCluster } from "../cluster-flags.ts";
import { MeshCommand, MeshOptions, meshFlags } from "../mesh-command.ts";
import { cliVersion } from "../version.ts";

const STANDALONE = "default";

const Options = z.strictObject({
  ...ClusterOptions,
  name: MeshOptions.name.optional(),
  state: MeshOptions.state,
  output: MeshOptions.output,
  client: z.boolean(),
  short: z.boolean(),
  proxy: z.boolean(),
  namespace: z.string().min(1).optional(),
});
type Options = z.infer<typeof Options>;

/** Versions of proxies, with how many there are of each. */
type Proxies = ReadonlyMap<string, number>;

export class VersionCommand extends MeshCommand {
  static override summary = "Print the versions of this program and of the running mesh.";
  static override flags = {
    ...clusterFlags,
    ...meshFlags,
    name: Flags.string({ summary: "Name of the standalone mesh." }),
    client: Flags.boolean({ summary: "Only this program's.", default: false }),
    short: Flags.boolean({ summary: "Only the numbers.", default: false }),
    proxy: Flags.boolean({ summary: "Those of the proxies in a cluster, too.", default: false }),
    namespace: Flags.string({ char: "n", summary: "Namespace of the proxies; all otherwise." }),
  };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(VersionCommand)).flags });
    const client = cliVersion();
    const server = options.client ? undefined : await this.#server(options);
    const proxies = options.proxy && !options.client ? await this.#proxies(options) : undefined;
    if (options.output === "json") {
      const more = proxies === undefined ? {} : { proxies: Object.fromEntries(proxies) };
      const known = { client, ...(options.client ? {} : { server: server ?? null }), ...more };
      this.log(JSON.stringify(known, undefined, 2));
      return;
    }
    const labelled = (label: string, version: string): string =>
      options.short ? version : `${label}: ${version}`;
    this.log(labelled("Client version", client));
    if (!options.client) this.log(labelled("Server version", server ?? "unavailable"));
    for (const [version, pods] of proxies ?? [])
      this.log(labelled("Proxy version", options.short ? version : `${version} (${pods} pods)`));
  }

  /** Of the standalone mesh that is named, or that runs here; else of the cluster. */
  async #server(options: Options): Promise<string | undefined> {
    const { name, state } = options;
    const isNamed = name !== undefined || state !== undefined;
    if (!isNamed && !knownMeshes(process.env).includes(STANDALONE)) return this.#inCluster(options);
    try {
      return (await this.client(this.paths({ name: name ?? STANDALONE, state })).status()).version;
    } catch (error) {
      if (error instanceof ControlError) return undefined;
      throw error;
    }
  }

  async #inCluster(options: Options): Promise<string | undefined> {
    const { installedVersion } = await import("../cluster-versions.ts");
    try {
      const client = await connectCluster(options);
      try {
        return await installedVersion(client, options["linkerd-namespace"]);
      } finally {
        await client.close();
      }
    } catch (error) {
      if (options.verbose && error instanceof Error) this.warn(error.message);
      return undefined;
    }
  }

  async #proxies(options: Options): Promise<Proxies> {
    const { proxyVersions } = await import("../cluster-versions.ts");
    const client = await connectCluster(options);
    try {
      return await proxyVersions(client, options["linkerd-namespace"], options.namespace);
    } finally {
      await client.close();
    }
  }
}
