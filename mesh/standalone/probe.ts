import { connect as connectHttp2 } from "node:http2";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";

/** A probe of an address, as the kubelet makes it. */
export interface ProbeRequest {
  readonly type: "http" | "tcp" | "grpc";
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly scheme: "HTTP" | "HTTPS";
  readonly service: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly timeoutMs: number;
}

/** What came of it. */
export interface ProbeResult {
  readonly ok: boolean;
  /** For people: the status, or why there was none. */
  readonly detail: string;
}

/** The gRPC health protocol's answer for a service that can be used. */
const SERVING = 1;
/** A field of the health message: number 1, a varint. */
const STATUS_TAG = 0x08;
const SERVICE_TAG = 0x0a;

/** Never rejects: whatever went wrong is an answer of no. */
export async function probe(target: ProbeRequest): Promise<ProbeResult> {
  try {
    const run = { http: probeHttp, tcp: probeTcp, grpc: probeGrpc }[target.type];
    return await run(target);
  } catch (error) {
    return { ok: false, detail: error instanceof Error ? error.message : String(error) };
  }
}

/** 200 to 399 is well. Redirects are not followed and certificates not checked, as the kubelet does. */
function probeHttp(target: ProbeRequest): Promise<ProbeResult> {
  const { promise, resolve, reject } = Promise.withResolvers<ProbeResult>();
  const options = {
    host: target.host,
    port: target.port,
    path: target.path,
    agent: false,
    rejectUnauthorized: false,
    headers: Object.fromEntries([
      ["user-agent", "kube-probe/1.35"],
      ...target.headers.map(({ name, value }) => [name, value]),
    ]),
    signal: AbortSignal.timeout(target.timeoutMs),
  };
  const send = target.scheme === "HTTPS" ? httpsRequest : httpRequest;
  const call = send(options, (response) => {
    const status = response.statusCode ?? 0;
    response.resume();
    response.on("error", () => undefined);
    resolve({ ok: status >= 200 && status < 400, detail: String(status) });
  });
  call.on("error", reject);
  call.end();
  return promise;
}

function probeTcp(target: ProbeRequest): Promise<ProbeResult> {
  const { promise, resolve, reject } = Promise.withResolvers<ProbeResult>();
  const socket = connect({ host: target.host, port: target.port });
  socket.setTimeout(target.timeoutMs, () => socket.destroy(new Error("timed out")));
  socket.on("error", reject);
  socket.on("connect", () => {
    resolve({ ok: true, detail: "connected" });
    socket.destroy();
  });
  return promise;
}

/** `grpc.health.v1.Health/Check` (grpc/grpc, doc/health-checking.md). */
function probeGrpc(target: ProbeRequest): Promise<ProbeResult> {
  const { promise, resolve, reject } = Promise.withResolvers<ProbeResult>();
  const session = connectHttp2(`http://${target.host}:${target.port}`);
  const timer = setTimeout(() => reject(new Error("timed out")), target.timeoutMs);
  session.on("error", reject);
  const stream = session.request({
    ":method": "POST",
    ":path": "/grpc.health.v1.Health/Check",
    "content-type": "application/grpc",
    te: "trailers",
  });
  const parts: Buffer[] = [];
  let status: string | undefined;
  const note = (headers: { readonly "grpc-status"?: string | string[] | undefined }): void => {
    if (typeof headers["grpc-status"] === "string") status = headers["grpc-status"];
  };
  stream.on("response", note);
  stream.on("trailers", note);
  stream.on("data", (part: Buffer) => parts.push(part));
  stream.on("error", reject);
  stream.on("end", () => resolve(healthResult(status, Buffer.concat(parts))));
  stream.end(healthRequest(target.service));
  return promise.finally(() => {
    clearTimeout(timer);
    session.destroy();
  });
}

function healthRequest(service: string): Buffer {
  const name = Buffer.from(service).subarray(0, 127);
  const message =
    name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([SERVICE_TAG, name.length]), name]);
  return Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);
}

function healthResult(status: string | undefined, body: Buffer): ProbeResult {
  if (status !== "0") return { ok: false, detail: `grpc-status ${status ?? "missing"}` };
  const serving = body[5] === STATUS_TAG && body[6] === SERVING;
  return { ok: serving, detail: serving ? "SERVING" : "not SERVING" };
}
