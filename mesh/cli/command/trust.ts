import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { randomUUID } from "node:crypto";
import { Flags } from "@oclif/core";
import { z } from "zod";
import type { RotationRequest } from "@hauberk/mesh/identity/trust-record.ts";
import { newRootRequest } from "@hauberk/mesh/identity/trust-schedule.ts";
import { ControlError } from "@hauberk/mesh/standalone/control-client.ts";
import { ClusterOptions, clusterFlags, connectCluster } from "../cluster-flags.ts";
import { passwordFileFlag } from "../password-flag.ts";
import { EXIT, MeshCommand, MeshOptions, meshFlags } from "../mesh-command.ts";
import type { TrustHome } from "../trust/home.ts";
import { progressLine, trustLines } from "../trust/status.ts";

/** How often the record is looked at while a rotation is waited for. */
const LOOK_MS = 500;

/** A mesh on this machine, or one in a cluster. */
const Where = { ...ClusterOptions, ...MeshOptions, name: MeshOptions.name.optional() };
const Options = z.strictObject(Where);
type Options = z.infer<typeof Options>;

const whereFlags = {
  ...clusterFlags,
  ...meshFlags,
  name: Flags.string({ summary: "Name of a standalone mesh." }),
};

abstract class TrustCommand extends MeshCommand {
  /**
   * The trust of the mesh that the flags name: standalone by `--name` or `--state`, in a cluster by `--kubeconfig` or
   * `--context`; without any, the standalone mesh if one runs, else the cluster.
   */
  protected async home(options: Options): Promise<TrustHome> {
    const { name, state, kubeconfig, context } = options;
    const isNamed = name !== undefined || state !== undefined;
    if (!isNamed && (kubeconfig !== undefined || context !== undefined)) return this.#cluster(options);
    const paths = this.paths({ name: name ?? "default", state });
    try {
      // So that a mesh that is not there is told as everywhere else.
      await this.client(paths).status();
    } catch (error) {
      if (!isNamed && error instanceof ControlError && error.code === "not_running")
        return this.#cluster(options);
      throw error;
    }
    const { directoryHome } = await import("../trust/home.ts");
    return directoryHome(paths.dir, join(paths.identity, "issuer"));
  }

  async #cluster(options: Options): Promise<TrustHome> {
    const { clusterHome } = await import("../trust/cluster-home.ts");
    return clusterHome(await connectCluster(options), options["linkerd-namespace"]);
  }
}

export class TrustStatusCommand extends TrustCommand {
  static override summary = "Show what the mesh trusts, and where a rotation of its root stands.";
  static override description =
    "Exits with 1 while a rotation waits for something. Procedures: docs/guide/identity.md.";
  static override examples = ["<%= config.bin %> trust status", "<%= config.bin %> trust status -o json"];
  static override flags = whereFlags;

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(TrustStatusCommand)).flags });
    const home = await this.home(options);
    try {
      const record = await home.record();
      this.print(options.output, { table: trustLines(record).join("\n"), json: record });
      if ((record.status?.waitingCount ?? 0) > 0) this.exit(EXIT.unwell);
    } finally {
      await home.close();
    }
  }
}

const RotateOptions = z
  .strictObject({
    ...Where,
    wait: z.boolean(),
    timeout: z.number().int().min(1),
    abandon: z.boolean(),
    "root-file": z.string().min(1).optional(),
    "issuer-certificate-file": z.string().min(1).optional(),
    "issuer-key-file": z.string().min(1).optional(),
    "issuer-file": z.string().min(1).optional(),
    "password-file": z.string().min(1).optional(),
  })
  .refine((given) => given["issuer-file"] === undefined || given["issuer-key-file"] === undefined, {
    message: "holds the certificate and key already",
    path: ["issuer-file"],
  })
  .refine(
    (given) => (given["issuer-certificate-file"] === undefined) === (given["issuer-key-file"] === undefined),
    { message: "belongs together with --issuer-key-file", path: ["issuer-certificate-file"] },
  )
  .refine((given) => given["root-file"] !== undefined || given["issuer-key-file"] === undefined, {
    message: "is needed with an issuer of your own",
    path: ["root-file"],
  });
type RotateOptions = z.infer<typeof RotateOptions>;

export class TrustRotateCommand extends TrustCommand {
  static override summary = "Replace the root of the mesh, while everything runs.";
  static override description = [
    "Makes a new root with an issuer below it (or takes yours), and asks the control plane to go over to it: the new",
    "root is trusted by every proxy before anything is issued below it, and the old one goes when no certificate below",
    "it is left. Nothing restarts. The control plane does the work: this command may be interrupted.",
  ].join(" ");
  static override examples = [
    "<%= config.bin %> trust rotate",
    "<%= config.bin %> trust rotate --root-file ca.crt",
    "<%= config.bin %> trust rotate --issuer-file issuer.p12 --password-file password",
    "<%= config.bin %> trust rotate --abandon",
  ];
  static override flags = {
    ...whereFlags,
    wait: Flags.boolean({ summary: "Wait until it is done.", default: true, allowNo: true }),
    timeout: Flags.integer({ summary: "Longest wait, in seconds.", default: 3_600 }),
    abandon: Flags.boolean({
      summary: "Give the rotation under way up; possible until certificates are issued below the new root.",
      default: false,
    }),
    "root-file": Flags.string({
      summary: "The new root, in PEM; without an issuer, the issuer's Secret is waited for to lead to it.",
    }),
    "issuer-certificate-file": Flags.string({
      summary: "An issuer below it, and what lies between, in PEM.",
    }),
    "issuer-key-file": Flags.string({ summary: "The issuer's private key, in PEM." }),
    "issuer-file": Flags.string({
      summary: "Issuer with its key and chain: PKCS #12 or PEM, and the root unless --root-file gives it.",
    }),
    "password-file": passwordFileFlag,
  };

  async run(): Promise<void> {
    const options = RotateOptions.parse({ ...(await this.parse(TrustRotateCommand)).flags });
    const home = await this.home(options);
    try {
      const id = options.abandon ? await this.#abandon(home) : await this.#ask(home, options);
      if (options.wait) await this.#await(home, id, options);
    } finally {
      await home.close();
    }
  }

  async #ask(home: TrustHome, options: RotateOptions): Promise<string> {
    const request = await requestOf(options, (sentence) => this.warn(sentence));
    if (await home.ask(request)) {
      this.logToStderr(`rotation ${request.id} asked for`);
      return request.id;
    }
    const other = await home.request();
    const whose =
      other === undefined ? "" : ` of ${other.by}, begun ${new Date(other.startedMs).toISOString()}`;
    return this.error(`a rotation${whose} is under way: hauberk trust status shows it`, {
      exit: EXIT.unwell,
    });
  }

  async #abandon(home: TrustHome): Promise<string> {
    const request = await home.request();
    if (request === undefined) this.error("no rotation is under way", { exit: EXIT.unwell });
    const { rotation } = await home.record();
    if (rotation.phase !== "introducing" && rotation.phase !== "steady") {
      this.error(`the rotation is ${rotation.phase}: it can only go on`, { exit: EXIT.unwell });
    }
    await home.replace({ ...request, abandon: true });
    return request.id;
  }

  /** Until the request is gone, which is the last that happens. */
  async #await(home: TrustHome, id: string, { timeout, output }: RotateOptions): Promise<void> {
    const endMs = Date.now() + timeout * 1_000;
    let told = "";
    while (Date.now() < endMs) {
      const [record, request] = [await home.record(), await home.request()];
      const line = progressLine(record);
      if (line !== told && record.last === id) this.logToStderr(line);
      told = line;
      if (request?.id !== id) {
        if (record.status?.refused !== undefined && record.rotation.phase === "steady") {
          this.error(`refused: ${record.status.refused}`, { exit: EXIT.unwell });
        }
        this.print(output, { table: trustLines(record).join("\n"), json: record });
        return;
      }
      await sleep(LOOK_MS);
    }
    this.error(`not done within ${timeout} s; it goes on: hauberk trust status`, { exit: EXIT.unwell });
  }
}

async function requestOf(options: RotateOptions, warn: (sentence: string) => void): Promise<RotationRequest> {
  const by = userInfo().username;
  const {
    "root-file": root,
    "issuer-certificate-file": certificates,
    "issuer-key-file": privateKey,
    "issuer-file": file,
  } = options;
  if (file !== undefined) {
    const { openIssuerFile } = await import("../issuer-file.ts");
    const nowMs = Date.now();
    const { pem } = await openIssuerFile(
      { file, passwordFile: options["password-file"], rootFile: root },
      { nowMs, warn },
    );
    const issuer = { certificates: pem.certificates, privateKey: pem.privateKey };
    return { id: randomUUID(), by, startedMs: nowMs, root: pem.anchors, issuer, abandon: false };
  }
  if (root === undefined) {
    // The names in a root are for people only: nothing is decided by them.
    return newRootRequest({ trustDomain: "cluster.local", controlPlaneNamespace: "linkerd" }, by, Date.now());
  }
  const issuer =
    certificates === undefined || privateKey === undefined
      ? undefined
      : {
          certificates: await readFile(certificates, "utf8"),
          privateKey: await readFile(privateKey, "utf8"),
        };
  return {
    id: randomUUID(),
    by,
    startedMs: Date.now(),
    root: await readFile(root, "utf8"),
    issuer,
    abandon: false,
  };
}
