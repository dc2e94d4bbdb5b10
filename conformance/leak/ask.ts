// Runs in a pod: asks as often as it is told, a few at a time, and begins a connection anew every so often.
//
//   node ask.ts '{"origin":"http://server.x:8080","count":1000,"perConnection":100}'
import { Agent, request } from "node:http";
import { z } from "zod";

const WORKERS = 8;

const Order = z.strictObject({
  origin: z.string(),
  count: z.number().int().positive(),
  perConnection: z.number().int().positive(),
});
const order = Order.parse(JSON.parse(process.argv[2] ?? ""));
let [asked, answered] = [0, 0];

function once(agent: Agent): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  request(`${order.origin}/bytes/64`, { agent }, (response) => {
    response.resume();
    response.once("error", () => resolve(false));
    response.once("end", () => resolve(response.statusCode === 200));
  })
    .once("error", () => resolve(false))
    .end();
  return promise;
}

async function worker(): Promise<void> {
  while (asked < order.count) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let nth = 0; nth < order.perConnection && asked < order.count; nth += 1) {
      asked += 1;
      if (await once(agent)) answered += 1;
    }
    agent.destroy();
  }
}

await Promise.all(Array.from({ length: WORKERS }, worker));
console.log(JSON.stringify({ asked, answered }));
process.exit(0);
