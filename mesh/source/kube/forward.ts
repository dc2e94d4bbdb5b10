/**
 * A connection to a port of a pod, through the API server and the pod's kubelet, as `kubectl port-forward` makes one. In the
 * pod it comes from the loopback address. Kubernetes' own framing over a WebSocket (`v4.channel.k8s.io`): the first byte of a
 * message is a channel, and each channel begins with the number of the port. For conversations of a command line.
 */
import { Duplex } from "node:stream";
import { WebSocket } from "undici";
import type { Credentials } from "./credentials.ts";
import { KUBE_REASON, KubeError } from "./error.ts";

const PROTOCOL = "v4.channel.k8s.io";
/** Channels of the first port that is asked for. */
const DATA = 0;
const ERROR = 1;
/** At the beginning of each channel. */
const PORT_BYTES = 2;
/** Most bytes of a message: a part of what is written. */
const MESSAGE_BYTES_MAX = 64 * 1024;
const OPEN_MS_MAX = 15_000;

/** Which port of which pod. */
export interface PodPort {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}

/** Opens the connection. Whoever asks ends it. */
export async function forward(
  credentials: Credentials,
  { namespace, name, port }: PodPort,
  signal?: AbortSignal,
): Promise<Duplex> {
  const what = `port ${port} of pod ${namespace}/${name}`;
  const { dispatcher, headers } = await credentials.authorize();
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}/portforward?ports=${port}`;
  const url = `${credentials.server.replace(/^http/, "ws")}${path}`;
  const pairs = Object.entries(headers).flatMap(([field, value]) =>
    [value].flat().map((one): [string, string] => [field, one]),
  );
  const socket = new WebSocket(url, { protocols: [PROTOCOL], dispatcher, headers: pairs });
  socket.binaryType = "arraybuffer";
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const refuse = (why: string): void =>
    reject(new KubeError({ status: 0, reason: KUBE_REASON.unreachable }, `cannot reach ${what}: ${why}`));
  socket.addEventListener("open", () => resolve());
  socket.addEventListener("error", ({ message }) => refuse(message || "the API server did not let us"));
  const timer = setTimeout(() => refuse("no answer"), OPEN_MS_MAX);
  const stop = (): void => socket.close();
  signal?.addEventListener("abort", stop, { once: true });
  const stream = streamOf(socket, what);
  try {
    await promise;
    return stream;
  } catch (error) {
    stream.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function streamOf(socket: WebSocket, what: string): Duplex {
  const skipped = new Map([
    [DATA, 0],
    [ERROR, 0],
  ]);
  const stream = new Duplex({
    read: () => undefined,
    write: (chunk: Uint8Array, _encoding, done) => {
      for (let at = 0; at < chunk.length; at += MESSAGE_BYTES_MAX)
        socket.send(Buffer.concat([Buffer.of(DATA), chunk.subarray(at, at + MESSAGE_BYTES_MAX)]));
      done();
    },
    final: (done) => {
      socket.close();
      done();
    },
    destroy: (error, done) => {
      socket.close();
      done(error);
    },
  });
  socket.addEventListener("message", ({ data }) => {
    const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : Buffer.from(String(data));
    const channel = bytes[0] ?? -1;
    const rest = contentOf(bytes.subarray(1), channel, skipped);
    if (rest.length === 0) return;
    if (channel === DATA) stream.push(rest);
    if (channel === ERROR) stream.destroy(new Error(`${what}: ${Buffer.from(rest).toString("utf8").trim()}`));
  });
  socket.addEventListener("close", () => stream.push(null));
  socket.addEventListener("error", () => stream.destroy(new Error(`the connection to ${what} broke`)));
  return stream;
}

/** What of a message is content: the port that each channel begins with is not. */
function contentOf(bytes: Uint8Array, channel: number, skipped: Map<number, number>): Uint8Array {
  const seen = skipped.get(channel) ?? PORT_BYTES;
  const left = Math.min(PORT_BYTES - seen, bytes.length);
  skipped.set(channel, seen + left);
  return bytes.subarray(left);
}
