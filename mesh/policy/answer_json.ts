/** Answers as JSON, for people: the message, and what is said in our extensions of it. Pure. */
import { fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { OutboundPolicyOverlaySchema, ServerOverlaySchema } from "../api/gen/hauberk/proxy/v1/overlay_pb.ts";
import { ServerSchema, type Server } from "../api/gen/inbound_pb.ts";
import { OutboundPolicySchema, type OutboundPolicy } from "../api/gen/outbound_pb.ts";
import { DestinationProfileSchema, type DestinationProfile } from "../api/gen/destination_pb.ts";

/** An answer and its extensions; these are empty objects where there are none. */
export interface AnswerJson {
  readonly answer: unknown;
  readonly extensions: unknown;
}

export function inboundJson(server: Server): AnswerJson {
  const overlay = fromBinary(ServerOverlaySchema, toBinary(ServerSchema, server));
  return { answer: toJson(ServerSchema, server), extensions: toJson(ServerOverlaySchema, overlay) };
}

export function outboundJson(policy: OutboundPolicy): AnswerJson {
  const overlay = fromBinary(OutboundPolicyOverlaySchema, toBinary(OutboundPolicySchema, policy));
  return {
    answer: toJson(OutboundPolicySchema, policy),
    extensions: toJson(OutboundPolicyOverlaySchema, overlay),
  };
}

export function profileJson(profile: DestinationProfile): unknown {
  return toJson(DestinationProfileSchema, profile);
}
