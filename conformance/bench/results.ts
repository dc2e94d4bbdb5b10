/** One line of JSON per measurement. A line can be read without the program that wrote it: names carry their unit. */

import { z } from "zod";

/** The scenarios, in the order in which they run and are shown. */
export const SCENARIOS = {
  rate: "HTTP/1.1, 2000 requests/s over 50 connections",
  rateh2: "HTTP/2, 2000 requests/s over 10 connections",
  rategrpc: "gRPC, 2000 calls/s over 10 connections",
  h1: "HTTP/1.1, saturated: 50 connections in a closed loop",
  h2: "HTTP/2, saturated: 4 connections of 25 streams in a closed loop",
  grpc: "gRPC, saturated: 4 connections of 25 streams in a closed loop",
  down: "opaque TCP, bulk from the server",
  up: "opaque TCP, bulk to the server",
  conn: "opaque TCP, one mTLS connection per sample",
  idle: "memory: idle, and with 1000 idle connections",
  idle5k: "memory: with 5000 idle connections",
  close: "memory after 1000 connections have closed",
  cold: "start of the outbound proxy",
  instructions: "user instructions per request (callgrind)",
  policy: "user instructions of policy evaluation, by size (callgrind)",
} as const;

export const ScenarioName = z.enum([
  "rate",
  "rateh2",
  "rategrpc",
  "h1",
  "h2",
  "grpc",
  "down",
  "up",
  "conn",
  "idle",
  "idle5k",
  "close",
  "cold",
  "instructions",
  "policy",
]);
export type ScenarioName = z.infer<typeof ScenarioName>;

/** What was measured, by name with unit. */
export type Figures = Readonly<Record<string, number>>;

/** One measurement, or why there is none. */
export const Result = z.strictObject({
  peer: z.string().min(1),
  scenario: ScenarioName,
  round: z.number().int().min(0),
  load: z.number(),
  figures: z.record(z.string(), z.number()).default({}),
  error: z.string().optional(),
});
export type Result = z.infer<typeof Result>;

/** What the figures were measured on and with; the first line of a file. */
export const Setting = z.strictObject({
  setting: z.strictObject({
    date: z.string(),
    command: z.string(),
    machine: z.string(),
    kernel: z.string(),
    seed: z.number().int(),
    rounds: z.number().int(),
    seconds: z.number(),
    scheduling: z.string(),
    versions: z.record(z.string(), z.string()),
  }),
});
export type Setting = z.infer<typeof Setting>["setting"];

/** Parses a file of results. */
export function parseResults(text: string): {
  readonly setting: Setting;
  readonly results: readonly Result[];
} {
  const lines = text.split("\n").filter((line) => line !== "");
  const [first, ...rest] = lines.map((line): unknown => JSON.parse(line));
  return { setting: Setting.parse(first).setting, results: rest.map((line) => Result.parse(line)) };
}
