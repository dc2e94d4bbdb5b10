import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { encodeFrame } from "./frame.ts";
import { GrpcClient, RpcFailure } from "./client.ts";
import { Destination, GetDestinationSchema, UpdateSchema, type Update } from "./gen/destination_pb.ts";
import { Identity, CertifyResponseSchema } from "./gen/identity_pb.ts";
import { parseTimeoutMs, serve, type GrpcServer } from "./grpc.ts";
import { Methods } from "./methods.ts";
import { Code, RpcError } from "./status.ts";
import { Topic } from "./topic.ts";

interface State {
  readonly n: number;
}

const encode = (from: State | undefined, to: State) =>
  encodeFrame(
    UpdateSchema,
    create(UpdateSchema, {
      update: { case: "add", value: { addrs: [{ weight: to.n }, { weight: from?.n ?? 0 }] } },
    }),
  );

function weights(update: Update): number[] {
  return update.update.case === "add" ? update.update.value.addrs.map((addr) => addr.weight) : [];
}

async function withServer(methods: Methods, body: (client: GrpcClient, server: GrpcServer) => Promise<void>) {
  const server = await serve(methods, { host: "127.0.0.1", port: 0 });
  const client = new GrpcClient(`http://127.0.0.1:${server.address.port}`);
  try {
    await body(client, server);
  } finally {
    client.close();
    await server.close(0);
  }
}

const signal = AbortSignal.timeout(20_000);

test("a reader gets the present state first and then each change from where it stood", async () => {
  const idle = Promise.withResolvers<void>();
  const topic = new Topic<State>({ n: 1 }, encode, idle.resolve);
  const methods = new Methods().stream(Destination.method.get, () => topic);
  await withServer(methods, async (client) => {
    const seen: number[][] = [];
    for await (const update of client.stream(Destination.method.get, { path: "a" }, signal)) {
      seen.push(weights(update));
      if (seen.length === 1) topic.publish({ n: 2 });
      if (seen.length === 2) break;
    }
    assert.deepEqual(seen, [
      [1, 0],
      [2, 1],
    ]);
    // The reader that left is noticed while the connection is still open.
    await idle.promise;
  });
});

test("a frame is encoded once however many readers stand at the same state", async () => {
  let encoded = 0;
  const topic = new Topic<State>(
    { n: 1 },
    (from, to) => ((encoded += 1), encode(from, to)),
    () => undefined,
  );
  const quiet = { wake: () => undefined, end: () => undefined };
  const subscriptions = [topic.join(quiet), topic.join(quiet), topic.join(quiet)];
  const first = subscriptions.map((subscription) => subscription.take());
  assert.equal(new Set(first).size, 1);
  topic.publish({ n: 2 });
  assert.equal(new Set(subscriptions.map((subscription) => subscription.take())).size, 1);
  assert.equal(encoded, 2);
  assert.equal(subscriptions[0]?.take(), undefined);
});

test("a reader that slept through changes gets one frame from its state to the present one", () => {
  const spans: string[] = [];
  const note = (from: State | undefined, to: State) => {
    spans.push(`${from?.n ?? "-"}>${to.n}`);
    return encode(from, to);
  };
  const topic = new Topic<State>({ n: 1 }, note, () => undefined);
  const subscription = topic.join({ wake: () => undefined, end: () => undefined });
  subscription.take();
  for (const n of [2, 3, 4]) topic.publish({ n });
  subscription.take();
  assert.deepEqual(spans, ["->1", "1>4"]);
});

test("a refusal arrives as its status and message, a bug as INTERNAL without its text", async () => {
  const methods = new Methods()
    .stream(Destination.method.get, (): never => {
      throw new RpcError(Code.NotFound, "no service é");
    })
    .unary(Identity.method.certify, () => {
      throw new TypeError("secret");
    });
  await withServer(methods, async (client) => {
    await assert.rejects(
      async () => {
        for await (const _ of client.stream(Destination.method.get, {}, signal)) assert.fail("answered");
      },
      (error) => error instanceof RpcFailure && error.code === 5 && error.message === "no service é",
    );
    await assert.rejects(
      client.unary(Identity.method.certify, {}, signal),
      (error) => error instanceof RpcFailure && error.code === 13 && !error.message.includes("secret"),
    );
    await assert.rejects(
      client.unary({ ...Identity.method.certify, name: "Nothing" }, {}, signal),
      (error) => error instanceof RpcFailure && error.code === 12,
    );
  });
});

test("a unary call is answered and counted", async () => {
  const methods = new Methods().unary(Identity.method.certify, ({ identity }) =>
    create(CertifyResponseSchema, { leafCertificate: Buffer.from(identity) }),
  );
  await withServer(methods, async (client) => {
    const reply = await client.unary(Identity.method.certify, { identity: "web" }, signal);
    assert.equal(Buffer.from(reply.leafCertificate).toString(), "web");
  });
  const counts = methods.counts("/io.linkerd.proxy.identity.Identity/Certify");
  assert.equal(counts.started, 1);
  assert.equal(counts.handled.get(Code.Ok), 1);
});

test("closing the server ends open streams with UNAVAILABLE", async () => {
  const topic = new Topic<State>({ n: 1 }, encode, () => undefined);
  const server = await serve(
    new Methods().stream(Destination.method.get, () => topic),
    {
      host: "127.0.0.1",
      port: 0,
    },
  );
  const client = new GrpcClient(`http://127.0.0.1:${server.address.port}`);
  let closing: Promise<void> | undefined;
  await assert.rejects(
    async () => {
      const request = create(GetDestinationSchema, {});
      for await (const _ of client.stream(Destination.method.get, request, signal)) closing = server.close(0);
    },
    (error) => error instanceof RpcFailure && error.code === 14,
  );
  client.close();
  await closing;
});

test("grpc-timeout is read by the table of the specification", () => {
  assert.equal(parseTimeoutMs("10S"), 10_000);
  assert.equal(parseTimeoutMs("250m"), 250);
  assert.equal(parseTimeoutMs("99999999H"), 2_147_483_647);
  for (const bad of [undefined, "", "10", "S", "-1S", "123456789S", "1.5S"])
    assert.equal(parseTimeoutMs(bad), undefined);
});
