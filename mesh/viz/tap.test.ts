import assert from "node:assert/strict";
import { test } from "node:test";
import { renderLine } from "./tap.ts";
import type { TapLine } from "./tap.ts";

const line = {
  pod: "shop/web-0",
  id: "00000000000000ab",
  proxy: "in",
  src: "10.0.0.1:4000",
  dst: "10.0.0.2:80",
  tls: true,
} as const;

test("lines have the columns that Linkerd's tap has", () => {
  const lines: readonly TapLine[] = [
    { ...line, event: "req", method: "GET", authority: "web.shop", path: "/a" },
    { ...line, event: "rsp", status: 200, latencyUs: 1_500 },
    { ...line, event: "end", durationUs: 20, bytes: 12, grpcStatus: 0, dstPod: "shop/web-0" },
    { ...line, event: "end", tls: false, reset: true },
  ];
  const where = "id=00000000000000ab proxy=in src=10.0.0.1:4000 dst=10.0.0.2:80";
  assert.deepEqual(lines.map(renderLine), [
    `req ${where} tls=true :method=GET :authority=web.shop :path=/a`,
    `rsp ${where} tls=true :status=200 latency=1500µs`,
    `end ${where} tls=true grpc-status=0 duration=20µs response-length=12B dst_pod=shop/web-0`,
    `end ${where} tls=no_tls reset duration=0µs response-length=0B`,
  ]);
});
