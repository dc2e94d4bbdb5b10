import { Args } from "@oclif/core";
import { z } from "zod";
import { Told, anchor, join, tell } from "@hauberk/viz/story.ts";
import type { Word } from "@hauberk/viz/story.ts";
import { EXIT } from "../mesh-command.ts";
import { LiveCommand } from "../live/command.ts";
import { LiveOptions, liveFlags } from "../live/where.ts";

const Options = z.strictObject(LiveOptions);
const Id = z
  .string()
  .trim()
  .regex(/^[0-9a-fA-F]{16}$/, "is no id: sixteen digits, as in the header hauberk-request-id")
  .transform((id) => id.toLowerCase());

export class ExplainCommand extends LiveCommand {
  static override summary =
    "Tell what became of one request, from the records of all proxies that it passed.";
  static override description =
    "Each proxy remembers its last requests, failed ones longest. The id is in the header hauberk-request-id of what a proxy answered itself.";
  static override examples = [
    "<%= config.bin %> explain 5f0c8a2e91b7d344",
    "<%= config.bin %> explain 5f0c8a2e91b7d344 -o json",
  ];
  static override args = {
    id: Args.string({ description: "The value of hauberk-request-id.", required: true }),
  };
  static override flags = liveFlags;

  async run(): Promise<void> {
    const parsed = await this.parse(ExplainCommand);
    const options = Options.parse({ ...parsed.flags });
    const { id } = z.strictObject({ id: Id }).parse({ ...parsed.args });
    const path = `/explain?id=${id}`;
    const words = await this.live<readonly Word[]>(options, {
      onCluster: async ({ client, pods }) => {
        const { askInside, each } = await import("../live/cluster.ts");
        return each(pods, (pod) => heard(pod, () => askInside(client, pod, path)));
      },
      standalone: async (mesh) => {
        const client = this.client(this.paths(mesh));
        const { pods } = await client.status();
        const meshed = pods.filter(({ adminPort }) => adminPort !== undefined);
        return Promise.all(meshed.map((pod) => heard(pod, () => client.askProxy(pod, path))));
      },
    });
    const story = join(id, words);
    const docs = story.code === undefined ? {} : { docs: anchor(story.code) };
    this.print(options.output, { table: tell(story), json: { ...story, ...docs } });
    if (story.halves.length === 0) this.exit(EXIT.unwell);
  }
}

async function heard(
  pod: { readonly namespace: string; readonly name: string },
  ask: () => Promise<string>,
): Promise<Word> {
  const name = `${pod.namespace}/${pod.name}`;
  try {
    return { pod: name, told: Told.parse(JSON.parse(await ask())) };
  } catch (error) {
    return { pod: name, silent: error instanceof Error ? error.message : String(error) };
  }
}
