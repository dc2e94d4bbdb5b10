import assert from "node:assert/strict";
import * as http2 from "node:http2";
import test from "node:test";
import { serve } from "./grpc.ts";
import { callerOf, CallLimit, CLIENT_ID } from "./limit.ts";
import { Methods } from "./methods.ts";
import { Code } from "./status.ts";

const WEB = callerOf("web.shop.serviceaccount.identity.linkerd.cluster.local", "127.0.0.1");
const API = callerOf("api.shop.serviceaccount.identity.linkerd.cluster.local", "127.0.0.1");
const NOBODY = callerOf(undefined, "127.0.0.1");

test("one identity that floods takes nothing from another (QUALITY §3, threat 16)", () => {
  const limit = new CallLimit({ allowance: { burst: 3, refillMs: 1_000 } });
  const answers = [WEB, WEB, WEB, WEB, API].map((caller) => limit.open(caller, 0));
  assert.deepEqual(answers, ["admitted", "admitted", "admitted", "too_often", "admitted"]);
  assert.equal(limit.open(WEB, 1_000), "admitted");
});

test("one identity holds no more than its part of a listener open, and has it again when calls end", () => {
  const limit = new CallLimit({ openMax: 2 });
  assert.deepEqual(
    [WEB, WEB, WEB, API].map((caller) => limit.open(caller, 0)),
    ["admitted", "admitted", "too_many", "admitted"],
  );
  limit.close(WEB);
  assert.equal(limit.open(WEB, 0), "admitted");
});

test("who has no identity yet is heard where it is to get one, and limited elsewhere", () => {
  const allowance = { burst: 1, refillMs: 1_000 };
  const [everywhere, identity] = [true, false].map(
    (limitsUnproven) => new CallLimit({ allowance, limitsUnproven }),
  );
  assert.deepEqual([everywhere?.open(NOBODY, 0), everywhere?.open(NOBODY, 0)], ["admitted", "too_often"]);
  assert.deepEqual([identity?.open(NOBODY, 0), identity?.open(NOBODY, 0)], ["admitted", "admitted"]);
});

test("a listener tells a flood RESOURCE_EXHAUSTED by the identity that the proxy before it has proven", async () => {
  const limit = new CallLimit({ allowance: { burst: 2, refillMs: 60_000 } });
  const server = await serve(new Methods(), { host: "127.0.0.1", port: 0, limit });
  const session = http2.connect(`http://127.0.0.1:${server.address.port}`);
  const call = async (clientId: string): Promise<number> => {
    const { promise, resolve } = Promise.withResolvers<number>();
    const stream = session.request({
      ":method": "POST",
      ":path": "/nothing.Here/Is",
      "content-type": "application/grpc",
      [CLIENT_ID]: clientId,
    });
    stream.on("response", (fields) => resolve(Number(fields["grpc-status"])));
    stream.resume();
    stream.end();
    return promise;
  };
  try {
    assert.deepEqual([await call("web"), await call("web")], [Code.Unimplemented, Code.Unimplemented]);
    assert.equal(await call("web"), Code.ResourceExhausted);
    assert.equal(await call("api"), Code.Unimplemented);
  } finally {
    session.destroy();
    await server.close(0);
  }
});
