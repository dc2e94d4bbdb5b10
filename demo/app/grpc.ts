import { fileURLToPath } from "node:url";
import type { MethodDefinition, ServiceDefinition } from "@grpc/proto-loader";
import { loadSync } from "@grpc/proto-loader";
import { z } from "zod";

/** Price of an article in cents. */
export const PriceReply = z.object({ article: z.string(), cents: z.number().int() });
/** Asks for one price. */
export const PriceRequest = z.object({ article: z.string() });
/** Asks for a price as it changes: every `interval_ms`, `count` times (0: without end). */
export const WatchRequest = z.object({
  article: z.string(),
  interval_ms: z.number().int(),
  count: z.number().int(),
});
/** A purchase to be judged. */
export const Purchase = z.object({ id: z.string(), cents: z.number().int() });
/** What was judged of the purchase with the same `id`. */
export const Verdict = z.object({ id: z.string(), accepted: z.boolean() });

/** Whether an entry of a loaded proto file is a service. */
function isService(entry: object): entry is ServiceDefinition {
  return !("format" in entry);
}

/** A gRPC service of `shop.proto`, as grpc-js takes it. */
export function service(name: "Quotes" | "Risk"): ServiceDefinition {
  const file = fileURLToPath(new URL("shop.proto", import.meta.url));
  const entry = loadSync(file, { keepCase: true, defaults: true })[`shop.${name}`];
  if (entry === undefined || !isService(entry)) throw new Error(`shop.proto has no service ${name}`);
  return entry;
}

/** One method of a service. */
export function method(of: ServiceDefinition, name: string): MethodDefinition<object, object> {
  const found = of[name];
  if (found === undefined) throw new Error(`shop.proto has no method ${name}`);
  return found;
}
