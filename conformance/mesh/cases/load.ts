/** Requests without a pause while something happens to the mesh. */
import type { TestMesh } from "../mesh.ts";
import type { Address } from "../../pair/pair.ts";
import { AppPort } from "../ports.ts";
import { head, Wire } from "../wire.ts";

const WORKERS = 4;

/** From where, and to what. */
export interface LoadWorld {
  readonly mesh: TestMesh;
  readonly service: (port: number) => Address;
}

/** Asks again and again from several clients until it is told to stop; returns how often, and what went wrong. */
export function load(world: LoadWorld): {
  stop(): Promise<{ readonly asked: number; readonly failed: readonly string[] }>;
} {
  const stop = new AbortController();
  let asked = 0;
  const failed: string[] = [];
  const worker = async (): Promise<void> => {
    const wire = await Wire.to(world.mesh.place("caller-0"), world.service(AppPort.http));
    while (!stop.signal.aborted) {
      asked += 1;
      try {
        wire.write(head("GET", "/", { Host: "load" }));
        const { status, headers } = await wire.response();
        if (status !== 200) failed.push(`${status} ${headers.get("l5d-proxy-error") ?? ""}`);
      } catch (error) {
        failed.push(String(error));
        return;
      }
    }
    wire.close();
  };
  const all = Promise.all(Array.from({ length: WORKERS }, worker));
  return {
    stop: async () => {
      stop.abort();
      await all;
      return { asked, failed };
    },
  };
}
