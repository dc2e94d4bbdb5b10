/** What is promised of our figures: by themselves, or in relation to a peer's within the same rounds. */

import type { ScenarioName } from "./results.ts";

/** Our figure, as a ratio to a peer's or by itself, at most this. */
export type Target = {
  readonly text: string;
  readonly scenario: ScenarioName;
  readonly figure: string;
  readonly of: "ratio" | "added ratio" | "value";
  /** The peer of a ratio. */
  readonly against?: string;
  readonly atMost: number;
};

type Relation = Pick<Target, "of" | "against" | "atMost">;

const to = (against: string, atMost: number): Relation => ({ of: "ratio", against, atMost });
const added = (against: string, atMost: number): Relation => ({ of: "added ratio", against, atMost });
const value = (atMost: number): Relation => ({ of: "value", atMost });

function target(text: string, scenario: ScenarioName, figure: string, relation: Relation): Target {
  return { text, scenario, figure, ...relation };
}

const ENDS = ["outbound", "inbound"] as const;

export const TARGETS: readonly Target[] = [
  target("CPU per HTTP/1.1 request when saturated, against Envoy", "h1", "CPU µs/request", to("envoy", 0.55)),
  target("the same, against HAProxy", "h1", "CPU µs/request", to("haproxy", 1.2)),
  target("CPU per gRPC call when saturated, against Envoy", "grpc", "CPU µs/request", to("envoy", 0.55)),
  target("added p99 at 2000 requests/s, against Envoy", "rate", "p99 µs", added("envoy", 0.5)),
  target("the same, against nginx", "rate", "p99 µs", added("nginx", 1)),
  target("CPU per GiB from the server, against Envoy", "down", "CPU s/GiB", to("envoy", 1)),
  target("CPU per GiB to the server, against Envoy", "up", "CPU s/GiB", to("envoy", 1)),
  target(
    "user instructions per HTTP/1.1 request",
    "instructions",
    "instructions/request HTTP/1.1",
    value(95_000),
  ),
  ...ENDS.flatMap((end) => [
    target(`idle RSS ${end}, MiB`, "idle", `RSS MiB ${end} idle`, value(8)),
    target(`idle anonymous memory ${end}, MiB`, "idle", `anonymous MiB ${end} idle`, value(1.5)),
    target(
      `KiB per idle opaque mTLS connection ${end}`,
      "idle",
      `KiB/opaque mTLS connection ${end}`,
      value(14),
    ),
    target(
      `MiB kept ${end} 30 s after 1000 connections closed`,
      "close",
      `MiB kept ${end} 30 s after`,
      value(0.8),
    ),
  ]),
  target("KiB per idle HTTP/1.1 client connection", "idle", "KiB/HTTP/1 connection outbound", value(4)),
  target("first answer after exec, ms", "cold", "first answer ms", value(15)),
];
