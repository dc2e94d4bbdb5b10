/** What a mesh's runtime is asked for over its own socket. */
import { request, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { TestMesh } from "../mesh/mesh.ts";

/** One call; throws what the runtime refuses. */
export async function call(
  mesh: TestMesh,
  method: "GET" | "POST",
  path: string,
  wish?: object,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request({ socketPath: join(mesh.state, "up.sock"), method, path }, resolve)
    .once("error", reject)
    .end(wish === undefined ? undefined : JSON.stringify(wish));
  const response = await promise;
  const answer = await text(response);
  if ((response.statusCode ?? 0) >= 300) throw new Error(`${method} ${path}: ${answer}`);
  return answer;
}

/** Does something to a pod or to the control plane. */
export async function act(mesh: TestMesh, path: string, wish: object): Promise<void> {
  await call(mesh, "POST", path, wish);
}
