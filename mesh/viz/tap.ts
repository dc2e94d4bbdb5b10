// Taps proxies: asks each for requests as they pass, over mTLS as the one identity that may.
import type { Duplex } from "node:stream";
import { connect } from "node:tls";
import type { TLSSocket } from "node:tls";
import { z } from "zod";
import { GrpcClient } from "@hauberk/mesh/api/client.ts";
import { Tap } from "@hauberk/mesh/api/gen/tap_pb.ts";
import type { TapEvent } from "@hauberk/mesh/api/gen/tap_pb.ts";
import type { HttpMethod } from "@hauberk/mesh/api/gen/http_types_pb.ts";
import type { TcpAddress } from "@hauberk/mesh/api/gen/net_pb.ts";

/** Most requests of one proxy that are shown unless less is asked for. */
const LIMIT_MAX = 100_000;

/** What to tap, and what to prove who asks. */
export const TapQuestion = z.strictObject({
  targets: z.array(
    z.strictObject({ pod: z.string(), host: z.string(), port: z.number().int(), identity: z.string() }),
  ),
  method: z.string().optional(),
  authority: z.string().optional(),
  path: z.string().optional(),
  headers: z.boolean().default(false),
  limit: z.number().int().min(1).max(LIMIT_MAX).default(LIMIT_MAX),
  certificate: z.string(),
  privateKey: z.string(),
  anchors: z.string(),
});
export type TapQuestion = z.infer<typeof TapQuestion>;

const Event = z.enum(["req", "rsp", "end"]);
/** One line of a tap. */
export const TapLine = z.object({
  pod: z.string(),
  event: Event,
  id: z.string(),
  proxy: z.enum(["in", "out"]),
  src: z.string(),
  dst: z.string(),
  tls: z.boolean(),
  peer: z.string().optional(),
  dstPod: z.string().optional(),
  method: z.string().optional(),
  authority: z.string().optional(),
  path: z.string().optional(),
  status: z.number().optional(),
  grpcStatus: z.number().optional(),
  latencyUs: z.number().optional(),
  durationUs: z.number().optional(),
  bytes: z.number().optional(),
  reset: z.boolean().optional(),
  headers: z.record(z.string(), z.string()).optional(),
});
export type TapLine = z.infer<typeof TapLine>;
/** A proxy that cannot be tapped. */
export const TapTrouble = z.object({ pod: z.string(), error: z.string() });
export const TapWord = z.union([TapLine, TapTrouble]);
export type TapWord = z.infer<typeof TapWord>;

/** Taps all targets until `signal`, or until each has shown its limit. */
export async function tap(
  question: TapQuestion,
  signal: AbortSignal,
  say: (word: TapWord) => void,
  open?: OpenWay,
): Promise<void> {
  await Promise.all(
    question.targets.map(async (target) => {
      try {
        await tapOne(target, question, signal, { say, open });
      } catch (error) {
        if (!signal.aborted)
          say({ pod: target.pod, error: error instanceof Error ? error.message : String(error) });
      }
    }),
  );
}

async function tapOne(
  target: TapQuestion["targets"][number],
  question: TapQuestion,
  signal: AbortSignal,
  { say, open }: { readonly say: (word: TapWord) => void; readonly open: OpenWay | undefined },
): Promise<void> {
  const way = await open?.(target);
  const client = new GrpcClient(`https://${target.host}:${target.port}`, () => dial(target, question, way));
  try {
    const request = {
      limit: question.limit,
      match: { match: { case: "all" as const, value: { matches: matches(question) } } },
      ...(question.headers
        ? {
            extract: {
              extract: { case: "http" as const, value: { extract: { case: "headers" as const, value: {} } } },
            },
          }
        : {}),
    };
    for await (const event of client.stream(Tap.method.observe, request, signal)) {
      const line = lineOf(target.pod, event);
      if (line !== undefined) say(line);
    }
  } finally {
    client.close();
  }
}

function dial(
  target: TapQuestion["targets"][number],
  question: TapQuestion,
  way: Duplex | undefined,
): TLSSocket {
  return connect({
    ...(way === undefined ? { host: target.host, port: target.port } : { socket: way }),
    servername: target.identity,
    ALPNProtocols: ["h2"],
    minVersion: "TLSv1.3",
    cert: question.certificate,
    key: question.privateKey,
    ca: question.anchors,
    // An identity is compared as an identity: the certificate has this name, whole, or the proxy is another.
    checkServerIdentity: (_host, { subjectaltname = "" }) =>
      subjectaltname.split(", ").includes(`DNS:${target.identity}`)
        ? undefined
        : new Error(`the proxy is not ${target.identity}`),
  });
}

/** Makes the connection to a target that cannot be dialled. */
export type OpenWay = (target: TapQuestion["targets"][number]) => Promise<Duplex>;

type HttpMatch =
  | { readonly case: "method"; readonly value: { readonly type: { case: "unregistered"; value: string } } }
  | {
      readonly case: "authority" | "path";
      readonly value: { readonly match: { case: "prefix"; value: string } };
    };

function text(prefix: string) {
  return { match: { case: "prefix" as const, value: prefix } };
}

function http(match: HttpMatch) {
  return { match: { case: "http" as const, value: { match } } };
}

function matches({ method, authority, path }: TapQuestion) {
  return [
    ...(method === undefined
      ? []
      : [http({ case: "method", value: { type: { case: "unregistered", value: method } } })]),
    ...(authority === undefined ? [] : [http({ case: "authority", value: text(authority) })]),
    ...(path === undefined ? [] : [http({ case: "path", value: text(path) })]),
  ];
}

/** An event as a line; `undefined`: of a kind that this version does not know. */
export function lineOf(pod: string, event: TapEvent): TapLine | undefined {
  const http = event.event.value?.event;
  if (http?.case === undefined) return undefined;
  const labels = event.destinationMeta?.labels ?? {};
  const isOutbound = event.proxyDirection === 2;
  const peer = isOutbound ? labels["server_id"] : event.sourceMeta?.labels["client_id"];
  const line = {
    pod,
    id: (http.value.id?.stream ?? 0n).toString(16).padStart(16, "0"),
    proxy: isOutbound ? ("out" as const) : ("in" as const),
    src: address(event.source),
    dst: address(event.destination),
    tls: peer !== undefined,
    ...(peer === undefined ? {} : { peer }),
    ...(labels["pod"] === undefined ? {} : { dstPod: `${labels["namespace"] ?? ""}/${labels["pod"]}` }),
  };
  switch (http.case) {
    case "requestInit": {
      const { method, authority, path, headers } = http.value;
      return { ...line, event: "req", method: methodName(method), authority, path, ...shown(headers) };
    }
    case "responseInit": {
      const { httpStatus: status, sinceRequestInit, headers } = http.value;
      return { ...line, event: "rsp", status, latencyUs: micros(sinceRequestInit), ...shown(headers) };
    }
    case "responseEnd": {
      const { sinceResponseInit, responseBytes, eos } = http.value;
      const grpc = eos?.end.case === "grpcStatusCode" ? { grpcStatus: eos.end.value } : {};
      const reset = eos?.end.case === "resetErrorCode";
      const durationUs = micros(sinceResponseInit);
      return { ...line, event: "end", durationUs, bytes: Number(responseBytes), reset, ...grpc };
    }
  }
}

function shown(
  headers: { headers: { name: string; value: Uint8Array }[] } | undefined,
): Pick<TapLine, "headers"> {
  if (headers === undefined) return {};
  const pairs = headers.headers.map(({ name, value }) => [name, Buffer.from(value).toString("utf8")]);
  return { headers: Object.fromEntries(pairs) };
}

const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "HEAD", "TRACE"];

function methodName(method: HttpMethod | undefined): string {
  if (method?.type.case === "unregistered") return method.type.value;
  return METHODS[method?.type.value ?? -1] ?? "";
}

function micros(time: { seconds: bigint; nanos: number } | undefined): number {
  return time === undefined ? 0 : Number(time.seconds) * 1_000_000 + Math.round(time.nanos / 1_000);
}

function address(of: TcpAddress | undefined): string {
  const ip = of?.ip?.ip;
  if (ip?.case === "ipv4") {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(ip.value);
    return `${bytes.join(".")}:${of?.port ?? 0}`;
  }
  if (ip?.case === "ipv6") {
    const words = [ip.value.first, ip.value.last].flatMap((half) =>
      [48n, 32n, 16n, 0n].map((shift) => ((half >> shift) & 0xffffn).toString(16)),
    );
    return `[${words.join(":")}]:${of?.port ?? 0}`;
  }
  return "";
}

/** A line as `linkerd viz tap` prints it. */
export function renderLine(line: TapLine): string {
  const where = `id=${line.id} proxy=${line.proxy} src=${line.src} dst=${line.dst} tls=${line.tls ? "true" : "no_tls"}`;
  const pods = line.dstPod === undefined ? "" : ` dst_pod=${line.dstPod}`;
  switch (line.event) {
    case "req":
      return `req ${where} :method=${line.method ?? ""} :authority=${line.authority ?? ""} :path=${line.path ?? ""}${pods}`;
    case "rsp":
      return `rsp ${where} :status=${line.status ?? ""} latency=${line.latencyUs ?? 0}µs${pods}`;
    case "end": {
      const grpc = line.grpcStatus === undefined ? "" : ` grpc-status=${line.grpcStatus}`;
      const reset = line.reset === true ? " reset" : "";
      return `end ${where}${grpc}${reset} duration=${line.durationUs ?? 0}µs response-length=${line.bytes ?? 0}B${pods}`;
    }
  }
}
