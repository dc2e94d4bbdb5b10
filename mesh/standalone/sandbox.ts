import { spawn } from "node:child_process";
import { z } from "zod";
import { LineClient } from "./line-client.ts";
import type { Listener } from "./services.ts";

const Ready = z.object({
  ready: z.object({
    mode: z.enum(["root", "rootless"]),
    user: z.string().nullable(),
    net: z.string(),
    ipv4: z.string(),
    ipv6: z.string().nullable(),
  }),
});
const Added = z.object({ net: z.string() });
/** The sandbox needs far less; a machine that swaps may need some of it. */
const CLOSE_MS = 5_000;

function option(name: string, value: string | undefined): readonly string[] {
  return value === undefined ? [] : [name, value];
}

/** A network namespace in which processes can be started. */
export interface Net {
  readonly path: string;
  readonly user: string | undefined;
}

/** How a process is started inside a namespace. */
export interface Inside {
  readonly net: Net;
  readonly resolvConf?: string;
  readonly hostname?: string;
  readonly cwd?: string;
  /** Capabilities that the process keeps; all others are gone. */
  readonly keep?: readonly ("net_admin" | "net_raw")[];
}

/** The private network of a standalone mesh: a bridge, and namespaces around it. Ends with this process. */
export class Sandbox {
  readonly mode: "root" | "rootless";
  /** The bridge's own namespace and address: every pod reaches it, and it reaches every pod. */
  readonly bridge: Net;
  readonly address: string;
  readonly binary: string;
  readonly #lines: LineClient;

  private constructor(binary: string, lines: LineClient, ready: z.infer<typeof Ready>["ready"]) {
    this.binary = binary;
    this.#lines = lines;
    this.mode = ready.mode;
    this.bridge = { path: ready.net, user: ready.user ?? undefined };
    this.address = ready.ipv4;
  }

  /** Starts it. Fails with the kernel's reason where namespaces are forbidden. */
  static async start(
    binary: string,
    options: { readonly log: number; readonly rootless: boolean },
  ): Promise<Sandbox> {
    const words = ["serve", ...(options.rootless ? ["--rootless"] : [])];
    const child = spawn(binary, words, { stdio: ["pipe", "pipe", options.log], detached: true });
    const lines = new LineClient("hauberk-sandbox", child);
    return new Sandbox(binary, lines, Ready.parse(await lines.greeting()).ready);
  }

  async addPod(name: string, ipv4: string): Promise<Net> {
    const { net } = Added.parse(await this.#lines.ask({ op: "add-pod", name, ipv4 }));
    return { path: net, user: this.bridge.user };
  }

  /** Ends what still runs in the pod, too. */
  async removePod(name: string): Promise<void> {
    await this.#lines.ask({ op: "remove-pod", name });
  }

  async setService({ name, listen, endpoints }: Listener): Promise<void> {
    await this.#lines.ask({ op: "set-service", name, listen, endpoints });
  }

  async removeService(name: string): Promise<void> {
    await this.#lines.ask({ op: "remove-service", name });
  }

  /** The words that start `command` inside a namespace. */
  inside(where: Inside, command: readonly string[]): readonly [string, readonly string[]] {
    return [
      this.binary,
      [
        "exec",
        ...option("--net", where.net.path),
        ...option("--user", where.net.user),
        ...option("--resolv-conf", where.resolvConf),
        ...option("--hostname", where.hostname),
        ...option("--cwd", where.cwd),
        ...(where.keep ?? []).flatMap((capability) => ["--keep-cap", capability]),
        "--",
        ...command,
      ],
    ];
  }

  async close(): Promise<void> {
    await this.#lines.close(CLOSE_MS);
  }
}
