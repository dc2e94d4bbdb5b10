import assert from "node:assert/strict";
import test from "node:test";
import { RpcFailure } from "../api/client.ts";
import { Code } from "../api/status.ts";
import { startService } from "./service-fixture.ts";
import { RateLimit } from "../api/rate.ts";

test("a workload that asks too often is told to come again, and nothing is issued to it meanwhile", async () => {
  const service = await startService(new RateLimit({ burst: 3, refillMs: 1_000_000 }));
  try {
    for (let turn = 0; turn < 3; turn += 1) await service.ask({});
    await assert.rejects(
      service.ask({}),
      (error) => error instanceof RpcFailure && error.code === Code.ResourceExhausted,
    );
    assert.equal(service.counts.issued, 3);
    assert.equal(service.counts.refused.get("rate_limited"), 1);
  } finally {
    await service.close();
  }
});

test("a token that proves nothing does not use up the allowance of the pod it names", async () => {
  const service = await startService(new RateLimit({ burst: 1, refillMs: 1_000_000 }));
  try {
    for (let turn = 0; turn < 5; turn += 1)
      assert.equal(await service.refusal({ token: "junk" }), "token_malformed");
    assert.equal(await service.refusal({}), "issued");
  } finally {
    await service.close();
  }
});

test("each refusal has the status that tells a proxy whether to come again", async () => {
  const service = await startService();
  try {
    const code = async (change: Parameters<typeof service.ask>[0]): Promise<number> => {
      try {
        await service.ask(change);
        return Code.Ok;
      } catch (error) {
        assert.ok(error instanceof RpcFailure);
        return error.code;
      }
    };
    assert.equal(await code({}), Code.Ok);
    assert.equal(await code({ token: "junk" }), Code.Unauthenticated);
    assert.equal(await code({ identity: "someone.else" }), Code.PermissionDenied);
    assert.equal(await code({ csr: new Uint8Array(3) }), Code.InvalidArgument);
  } finally {
    await service.close();
  }
});
