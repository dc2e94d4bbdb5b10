import assert from "node:assert/strict";
import test from "node:test";
import { create, equals, fromBinary, toBinary } from "@bufbuild/protobuf";
import { equalExtended, extend } from "./extend.ts";
import { OutboundPolicyOverlaySchema } from "./gen/hauberk/proxy/v1/overlay_pb.ts";
import { OutboundRuleExtensionSchema } from "./gen/hauberk/proxy/v1/outbound_pb.ts";
import {
  HttpRoute_RuleSchema,
  HttpRouteSchema,
  OutboundPolicySchema,
  type HttpRoute_Rule,
} from "./gen/outbound_pb.ts";

function policyOf(rules: HttpRoute_Rule[]) {
  const routes = [create(HttpRouteSchema, { rules })];
  return create(OutboundPolicySchema, { protocol: { kind: { case: "http1", value: { routes } } } });
}

void test("an extension is found at its rule, and a reader of Linkerd's message skips it", () => {
  const plain = create(HttpRoute_RuleSchema, { allowL5dRequestHeaders: true });
  const extended = policyOf([plain, extend(plain, OutboundRuleExtensionSchema, {})]);
  const bytes = toBinary(OutboundPolicySchema, extended);
  const overlay = fromBinary(OutboundPolicyOverlaySchema, bytes);
  const found = overlay.protocol?.http1?.routes[0]?.rules.map(({ extension }) => extension !== undefined);
  assert.deepEqual(found, [false, true]);
  assert.ok(equals(OutboundPolicySchema, fromBinary(OutboundPolicySchema, bytes), policyOf([plain, plain])));
});

void test("answers that differ by an extension only are different answers", () => {
  const plain = create(HttpRoute_RuleSchema);
  const extended = policyOf([extend(plain, OutboundRuleExtensionSchema, {})]);
  assert.ok(!equalExtended(OutboundPolicySchema, policyOf([plain]), extended));
});
