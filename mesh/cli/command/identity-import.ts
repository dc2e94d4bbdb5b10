import { Args, Flags } from "@oclif/core";
import { z } from "zod";
import { EXIT, MeshCommand } from "../mesh-command.ts";
import { passwordFileFlag } from "../password-flag.ts";

const Options = z.strictObject({
  "password-file": z.string().min(1).optional(),
  root: z.string().min(1).optional(),
  scheme: z.enum(["linkerd.io/tls", "kubernetes.io/tls"]),
  "linkerd-namespace": z.string().min(1),
  output: z.enum(["yaml", "json"]),
});

export class IdentityImportCommand extends MeshCommand {
  static override summary = "Print an authority's issuer as the Secret and ConfigMap of the mesh.";
  static override description = [
    "Reads PKCS #12, PKCS #7 and PEM of every common kind, certificates in any order. What the mesh cannot use is",
    "refused by name. Nothing is written to the cluster. Kinds and refusals: docs/guide/identity.md.",
  ].join(" ");
  static override examples = [
    "<%= config.bin %> identity import issuer.p12 --password-file password | kubectl apply -f -",
    "<%= config.bin %> identity import issuer.pem --root root.pem --scheme kubernetes.io/tls",
  ];
  static override args = {
    file: Args.string({ description: "The issuer with its key and chain.", required: true }),
  };
  static override flags = {
    "password-file": passwordFileFlag,
    root: Flags.string({ summary: "File of the roots to trust; those in the issuer's file otherwise." }),
    scheme: Flags.string({
      summary: "How the Secret names its values.",
      options: ["linkerd.io/tls", "kubernetes.io/tls"],
      default: "linkerd.io/tls",
    }),
    "linkerd-namespace": Flags.string({ summary: "Namespace of the control plane.", default: "linkerd" }),
    output: Flags.string({ char: "o", summary: "How to print.", options: ["yaml", "json"], default: "yaml" }),
  };

  async run(): Promise<void> {
    const parsed = await this.parse(IdentityImportCommand);
    const options = Options.parse({ ...parsed.flags });
    const { file } = z.strictObject({ file: z.string().min(1) }).parse({ ...parsed.args });
    const [{ openIssuerFile, IssuerFileError }, { issuerObjects, printIssuer }] = await Promise.all([
      import("../issuer-file.ts"),
      import("@hauberk/mesh/install/issuer-objects.ts"),
    ]);
    try {
      const { pem } = await openIssuerFile(
        { file, passwordFile: options["password-file"], rootFile: options.root },
        { nowMs: Date.now(), warn: (sentence) => this.warn(sentence) },
      );
      const objects = issuerObjects(pem, {
        namespace: options["linkerd-namespace"],
        scheme: options.scheme,
      });
      this.log(printIssuer(objects, options.output).trimEnd());
    } catch (error) {
      if (error instanceof IssuerFileError) this.error(error.message, { exit: EXIT.unwell });
      throw error;
    }
  }
}
