import { readFile } from "node:fs/promises";
import { Args, Flags } from "@oclif/core";
import { z } from "zod";
import { EXIT, MeshCommand } from "../mesh-command.ts";

/** Largest description that is read. */
const BYTES_MAX = 16 * 1024 * 1024;

const Options = z.strictObject({
  namespace: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "is no name for a namespace"),
  "cluster-domain": z.string().min(1).max(200),
  template: z.boolean(),
  "open-api": z.string().min(1).optional(),
  proto: z.string().min(1).optional(),
});

export class ProfileCommand extends MeshCommand {
  static override summary = "Print a ServiceProfile: a template, or the routes that a description names.";
  static override examples = [
    "<%= config.bin %> profile -n shop web --template",
    "<%= config.bin %> profile -n shop web --open-api web.yaml | kubectl apply -f -",
    "<%= config.bin %> profile -n shop web --proto web.proto",
  ];
  static override args = { service: Args.string({ description: "Name of the service.", required: true }) };
  static override flags = {
    namespace: Flags.string({ char: "n", summary: "Namespace of the service.", default: "default" }),
    "cluster-domain": Flags.string({ summary: "DNS domain of the cluster.", default: "cluster.local" }),
    template: Flags.boolean({ summary: "A profile to be filled in.", default: false }),
    "open-api": Flags.string({ summary: "OpenAPI document (version 2 or 3); - is standard input." }),
    proto: Flags.string({ summary: "Protobuf file; - is standard input." }),
  };

  async run(): Promise<void> {
    const parsed = await this.parse(ProfileCommand);
    const options = Options.parse({ ...parsed.flags });
    const { service } = z
      .strictObject({ service: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "is no service") })
      .parse({ ...parsed.args });
    const { namespace, template, proto } = options;
    const openApi = options["open-api"];
    if ([template || undefined, openApi, proto].filter((one) => one !== undefined).length !== 1)
      this.error("exactly one of --template, --open-api and --proto is required", { exit: EXIT.usage });
    const [{ openApiRoutes, protoRoutes, profileObject, profileTemplate }, { readYaml, writeYaml }] =
      await Promise.all([import("../profile/routes.ts"), import("@hauberk/mesh/source/manifests/yaml.ts")]);
    const name = `${service}.${namespace}.svc.${options["cluster-domain"]}`;
    if (template) {
      this.log(profileTemplate(name, namespace).trimEnd());
      return;
    }
    const routes =
      openApi === undefined
        ? protoRoutes(await this.#read(proto ?? "-"))
        : openApiRoutes(readYaml(await this.#read(openApi)));
    this.log(writeYaml([profileObject(name, namespace, routes)]).trimEnd());
  }

  async #read(path: string): Promise<string> {
    const text = await readFile(path === "-" ? "/dev/stdin" : path, "utf8");
    if (text.length > BYTES_MAX)
      this.error(`${path} is larger than ${BYTES_MAX} bytes`, { exit: EXIT.usage });
    return text;
  }
}
