import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { PriceRequest, WatchRequest, service } from "./grpc.ts";
import { listenPort, onStop } from "./settings.ts";

/** A price that is the same for everyone who asks in the same second. */
function cents(article: string): number {
  const seed = Buffer.from(article).reduce((sum, byte) => sum + byte, 0);
  return 500 + ((seed * 37 + Math.floor(Date.now() / 1_000)) % 4_500);
}

function price(call: ServerUnaryCall<object, object>, reply: sendUnaryData<object>): void {
  const { article } = PriceRequest.parse(call.request);
  reply(null, { article, cents: cents(article) });
}

function watch(call: ServerWritableStream<object, object>): void {
  const { article, interval_ms: intervalMs, count } = WatchRequest.parse(call.request);
  let sent = 0;
  const timer = setInterval(
    () => {
      call.write({ article, cents: cents(article) });
      sent += 1;
      if (count > 0 && sent >= count) {
        clearInterval(timer);
        call.end();
      }
    },
    Math.max(10, intervalMs),
  );
  call.on("cancelled", () => clearInterval(timer));
  call.on("close", () => clearInterval(timer));
}

const server = new Server();
server.addService(service("Quotes"), { Price: price, Watch: watch });
server.bindAsync(`0.0.0.0:${listenPort()}`, ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  console.log(`quotes on ${port}`);
});
onStop(() => server.tryShutdown(() => process.exit(0)));
