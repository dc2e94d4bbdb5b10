import { createServer } from "node:http";
import type { IncomingMessage, Server } from "node:http";
import { once } from "node:events";
import { ExecRequest, PodAct } from "./control-protocol.ts";
import type { MeshStatus, PodStatus } from "./control-protocol.ts";
import type { Mesh } from "./mesh.ts";
import type { Pod } from "./pod.ts";

const BODY_BYTES_MAX = 64 * 1024;

/** What the socket serves besides the mesh itself. */
export interface ControlContext {
  readonly name: string;
  readonly version: string;
  readonly state: string;
  readonly manifests: readonly string[];
  /** Called once, when somebody asks the mesh to go down. */
  readonly stop: () => void;
}

interface Reply {
  readonly status: number;
  readonly body: object;
}

/** Serves the runtime's control socket. Only its owner can open it: the directory is theirs alone. */
export async function serveControl(path: string, mesh: Mesh, context: ControlContext): Promise<Server> {
  const server = createServer((request, response) => {
    void answer(request, mesh, context).then(({ status, body }) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body)),
    );
  });
  server.listen(path);
  await once(server, "listening");
  return server;
}

/** The mesh, in one look. */
export function statusOf(mesh: Mesh, context: ControlContext): MeshStatus {
  const pods = mesh.pods.map(podStatus);
  return {
    name: context.name,
    version: context.version,
    pid: process.pid,
    mode: mesh.mode,
    startedAt: mesh.startedAt,
    state: context.state,
    manifests: [...context.manifests],
    settled: pods.length > 0 && pods.every(({ ready, phase }) => ready || phase === "Succeeded"),
    pods,
    problems: mesh.problems.map((problem) => ({ ...problem })),
  };
}

function podStatus(pod: Pod): PodStatus {
  const { plan, ips, proxy } = pod.identity;
  const { phase, ready } = pod.state;
  return {
    namespace: plan.namespace,
    name: plan.name,
    ip: ips[0] ?? "",
    owner: `${plan.owner.kind}/${plan.owner.name}`,
    phase,
    ready,
    restarts: pod.restarts,
    ...(proxy === undefined ? {} : { identity: proxy.identity, adminPort: proxy.adminPort }),
    ...(pod.problem === undefined ? {} : { problem: pod.problem }),
  };
}

async function answer(request: IncomingMessage, mesh: Mesh, context: ControlContext): Promise<Reply> {
  try {
    const [, ...path] = new URL(request.url ?? "/", "http://up").pathname.split("/");
    const route = `${request.method ?? ""} ${path[0] ?? ""}`;
    if (route === "GET status") return { status: 200, body: statusOf(mesh, context) };
    if (route === "POST stop") {
      setImmediate(context.stop);
      return { status: 202, body: {} };
    }
    if (route === "POST control-plane") return act(mesh.controlPlane, await body(request));
    const pod = mesh.pod(path[1] ?? "", path[2] ?? "");
    if (route === "POST pods") return act(pod, await body(request));
    if (route === "GET certificate" && pod !== undefined)
      return { status: 200, body: await mesh.certificate(pod) };
    if (route === "GET proxy" && pod !== undefined)
      return { status: 200, body: { text: await pod.askProxy(proxyPath(request.url ?? "")) } };
    if (route === "POST exec" && pod !== undefined) {
      const { command, container, timeoutMs } = ExecRequest.parse(await body(request));
      const options = { timeoutMs, ...(container === undefined ? {} : { container }) };
      return { status: 200, body: await pod.exec(command, options) };
    }
    return { status: 404, body: { error: `there is no ${request.method ?? ""} ${request.url ?? ""}` } };
  } catch (error) {
    return { status: 400, body: { error: error instanceof Error ? error.message : String(error) } };
  }
}

/** What of `/proxy/NAMESPACE/POD/...` is the proxy's own path. */
function proxyPath(url: string): string {
  const { pathname, search } = new URL(url, "http://up");
  return `/${pathname.split("/").slice(4).join("/")}${search}`;
}

function act(pod: Pod | undefined, wish: unknown): Reply {
  if (pod === undefined) return { status: 404, body: { error: "there is no such pod" } };
  const parsed = PodAct.parse(wish);
  switch (parsed.act) {
    case "kill":
      pod.halt();
      setTimeout(() => pod.resume(), parsed.downMs);
      break;
    case "halt":
      pod.halt();
      break;
    case "resume":
      pod.resume();
      break;
    case "freeze":
      pod.freeze();
      break;
    case "thaw":
      pod.thaw();
      break;
  }
  return { status: 200, body: {} };
}

async function body(request: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const part of request.setEncoding("utf8")) {
    text += String(part);
    if (text.length > BODY_BYTES_MAX) throw new Error("the request is too large");
  }
  return text === "" ? {} : JSON.parse(text);
}
