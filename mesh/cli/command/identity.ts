import { X509Certificate } from "node:crypto";
import { Args } from "@oclif/core";
import { z } from "zod";
import type { PodStatus } from "@hauberk/mesh/standalone/control-protocol.ts";
import { MeshCommand, MeshOptions, meshFlags } from "../mesh-command.ts";
import { renderTable } from "@hauberk/viz/table.ts";

const Options = z.strictObject(MeshOptions);

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

export class IdentityCommand extends MeshCommand {
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
  static override flags = meshFlags;

  async run(): Promise<void> {
    const parsed = await this.parse(IdentityCommand);
    const options = Options.parse({ ...parsed.flags });
    const args = z
      .strictObject({ namespace: z.string().optional(), pod: z.string().optional() })
      .parse({ ...parsed.args });
    const client = this.client(this.paths(options));
    const { pods } = await client.status();
    const meshed = pods.filter(
      ({ namespace, name, identity }) =>
        identity !== undefined &&
        (args.namespace === undefined || namespace === args.namespace) &&
        (args.pod === undefined || name.startsWith(args.pod)),
    );
    const shown = await Promise.all(
      meshed.map(async (pod) => certificateOf(pod, (await client.certificate(pod)).chain)),
    );
    this.print(options.output, {
      table: identityTable(shown.filter((one) => one !== undefined)),
      json: shown,
    });
  }
}

function certificateOf(pod: PodStatus, chain: readonly string[]): Shown | undefined {
  const [pem] = chain;
  if (pem === undefined) return undefined;
  const leaf = new X509Certificate(pem);
  return {
    pod: `${pod.namespace}/${pod.name}`,
    identity: pod.identity ?? "",
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
