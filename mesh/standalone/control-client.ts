import { request } from "node:http";
import type { z } from "zod";
import { ControlRefusal, ExecResult, MeshStatus, ProxyWord } from "./control-protocol.ts";
import { ServerCertificate } from "./handshake.ts";
import type { PodAct } from "./control-protocol.ts";

/** The mesh cannot be asked, or refused. */
export class ControlError extends Error {
  override readonly name = "ControlError";
  readonly code: "not_running" | "refused";

  constructor(code: ControlError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** One JSON answer from a Unix socket. Also for viz' socket, which speaks the same way. */
export async function askSocket<T>(
  socketPath: string,
  question: {
    readonly method: "GET" | "POST";
    readonly path: string;
    readonly body?: object;
    readonly timeoutMs: number;
  },
  schema: z.ZodType<T>,
): Promise<T> {
  const { method, path, body, timeoutMs } = question;
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const call = request({ socketPath, method, path, signal: AbortSignal.timeout(timeoutMs) }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (part: string) => (text += part));
    response.on("error", reject);
    response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
  });
  call.on("error", reject);
  call.end(body === undefined ? undefined : JSON.stringify(body));
  let answer: { status: number; text: string };
  try {
    answer = await promise;
  } catch (error) {
    throw new ControlError("not_running", `nothing answers at ${socketPath}`, { cause: error });
  }
  const parsed: unknown = JSON.parse(answer.text);
  if (answer.status >= 300) {
    const refusal = ControlRefusal.safeParse(parsed);
    throw new ControlError("refused", refusal.success ? refusal.data.error : `HTTP ${answer.status}`);
  }
  return schema.parse(parsed);
}

const Done = ControlRefusal.partial();
const ANSWER_MS_MAX = 5_000;

/** A running mesh, from outside. */
export class MeshClient {
  readonly #socket: string;

  constructor(upSocket: string) {
    this.#socket = upSocket;
  }

  status(): Promise<MeshStatus> {
    return askSocket(this.#socket, { method: "GET", path: "/status", timeoutMs: ANSWER_MS_MAX }, MeshStatus);
  }

  async act(pod: { readonly namespace: string; readonly name: string }, wish: PodAct): Promise<void> {
    const path = `/pods/${pod.namespace}/${pod.name}`;
    await askSocket(this.#socket, { method: "POST", path, body: wish, timeoutMs: ANSWER_MS_MAX }, Done);
  }

  async controlPlane(wish: PodAct): Promise<void> {
    await askSocket(
      this.#socket,
      { method: "POST", path: "/control-plane", body: wish, timeoutMs: ANSWER_MS_MAX },
      Done,
    );
  }

  /** The certificate that a pod's proxy shows. */
  certificate(pod: { readonly namespace: string; readonly name: string }): Promise<ServerCertificate> {
    const path = `/certificate/${pod.namespace}/${pod.name}`;
    return askSocket(this.#socket, { method: "GET", path, timeoutMs: ANSWER_MS_MAX }, ServerCertificate);
  }

  /** What a pod's proxy tells its own machine only: the answer of its admin server to `GET path`. */
  async askProxy(pod: { readonly namespace: string; readonly name: string }, path: string): Promise<string> {
    const url = `/proxy/${pod.namespace}/${pod.name}${path}`;
    const question = { method: "GET", path: url, timeoutMs: 2 * ANSWER_MS_MAX } as const;
    return (await askSocket(this.#socket, question, ProxyWord)).text;
  }

  exec(
    pod: { readonly namespace: string; readonly name: string },
    command: readonly string[],
    timeoutMs: number,
  ): Promise<ExecResult> {
    const path = `/exec/${pod.namespace}/${pod.name}`;
    const body = { command, timeoutMs };
    return askSocket(
      this.#socket,
      { method: "POST", path, body, timeoutMs: timeoutMs + ANSWER_MS_MAX },
      ExecResult,
    );
  }

  async stop(): Promise<void> {
    await askSocket(this.#socket, { method: "POST", path: "/stop", timeoutMs: ANSWER_MS_MAX }, Done);
  }
}
