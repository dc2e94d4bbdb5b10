import type { ServerDuplexStream, ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { Purchase, service } from "./grpc.ts";
import { listenPort, onStop } from "./settings.ts";

/** Purchases above this are refused. */
const CENTS_MAX = 1_000_000;

function judge(request: unknown): object {
  const { id, cents } = Purchase.parse(request);
  return { id, accepted: cents <= CENTS_MAX };
}

function assess(call: ServerUnaryCall<object, object>, reply: sendUnaryData<object>): void {
  reply(null, judge(call.request));
}

function screen(call: ServerDuplexStream<object, object>): void {
  call.on("data", (purchase) => call.write(judge(purchase)));
  call.on("end", () => call.end());
}

const server = new Server();
server.addService(service("Risk"), { Assess: assess, Screen: screen });
server.bindAsync(`0.0.0.0:${listenPort()}`, ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  console.log(`risk on ${port}`);
});
onStop(() => server.tryShutdown(() => process.exit(0)));
