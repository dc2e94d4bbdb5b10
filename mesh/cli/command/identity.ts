import { X509Certificate } from "node:crypto";
import { Args } from "@oclif/core";
import { z } from "zod";
import { LiveCommand } from "../live/command.ts";
import { LiveOptions, liveFlags } from "../live/where.ts";
import { EXIT } from "../mesh-command.ts";
import { renderTable } from "@hauberk/viz/table.ts";

const Options = z.strictObject(LiveOptions);

/** A leaf certificate, as far as it is shown. */
interface Shown {
  readonly pod: string;
  readonly identity: string;
  readonly names: string;
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly pem: string;
}

export class IdentityCommand extends LiveCommand {
  static override summary = "Show the certificates that proxies present.";
  static override description =
    "Each proxy is asked over TLS on its inbound port: what is shown is what its peers see.";
  static override examples = [
    "<%= config.bin %> identity",
    "<%= config.bin %> identity prod",
    "<%= config.bin %> identity -o json",
  ];
  static override args = {
    namespace: Args.string({ description: "Only pods of this namespace." }),
    pod: Args.string({ description: "Only pods whose name begins so." }),
  };
  static override flags = liveFlags;

  async run(): Promise<void> {
    const parsed = await this.parse(IdentityCommand);
    const options = Options.parse({ ...parsed.flags });
    const args = z
      .strictObject({ namespace: z.string().optional(), pod: z.string().optional() })
      .parse({ ...parsed.args });
    const isChosen = (pod: NamedPod): boolean =>
      (args.namespace === undefined || pod.namespace === args.namespace) &&
      (args.pod === undefined || pod.name.startsWith(args.pod));
    const seen = await this.live<readonly Seen[]>(options, {
      namespace: args.namespace,
      onCluster: async ({ client, pods }) => {
        const { certificateOf, each } = await import("../live/cluster.ts");
        return each(pods.filter(isChosen), (pod) => see(pod, () => certificateOf(client, pod)));
      },
      standalone: async (mesh) => {
        const client = this.client(this.paths(mesh));
        const { pods } = await client.status();
        const meshed = pods.filter((pod) => pod.identity !== undefined && isChosen(pod));
        return Promise.all(
          meshed.map(({ identity = "", ...pod }) =>
            see({ ...pod, identity }, () => client.certificate({ ...pod })),
          ),
        );
      },
    });
    const shown = seen.filter((one): one is Shown => "pem" in one);
    this.print(options.output, { table: identityTable(shown), json: shown });
    for (const one of seen) if ("why" in one) this.warn(`${one.pod}: ${one.why}`);
    if (shown.length < seen.length || seen.length === 0) this.exit(EXIT.unwell);
  }
}

interface NamedPod {
  readonly namespace: string;
  readonly name: string;
}

/** A certificate, or why none was seen. */
type Seen = Shown | { readonly pod: string; readonly why: string };

async function see(
  pod: NamedPod & { readonly identity: string },
  ask: () => Promise<{ readonly chain: readonly string[] }>,
): Promise<Seen> {
  const name = `${pod.namespace}/${pod.name}`;
  try {
    const [pem] = (await ask()).chain;
    return pem === undefined
      ? { pod: name, why: "it showed no certificate" }
      : shownOf(name, pod.identity, pem);
  } catch (error) {
    return { pod: name, why: error instanceof Error ? error.message : String(error) };
  }
}

function shownOf(pod: string, identity: string, pem: string): Shown {
  const leaf = new X509Certificate(pem);
  return {
    pod,
    identity,
    names: leaf.subjectAltName ?? "",
    serial: leaf.serialNumber.toLowerCase(),
    notBefore: leaf.validFromDate.toISOString(),
    notAfter: leaf.validToDate.toISOString(),
    pem,
  };
}

function identityTable(rows: readonly Shown[]): string {
  return renderTable<Shown>(
    [
      { title: "POD", value: ({ pod }) => pod },
      { title: "NAMES", value: ({ names }) => names },
      { title: "SERIAL", value: ({ serial }) => serial.slice(0, 16) },
      { title: "NOT AFTER", value: ({ notAfter }) => notAfter },
    ],
    rows,
  );
}
