/** The gRPC project's interoperability cases through the pair, with its own client and server. */
import { BackendPort, type Pair } from "../pair/pair.ts";
import type { Case, SuiteResult } from "../report.ts";
import type { Tools } from "../tools.ts";

/** Those that need no credentials of a cloud. */
const CASES = [
  "empty_unary",
  "large_unary",
  "client_streaming",
  "server_streaming",
  "ping_pong",
  "empty_stream",
  "timeout_on_sleeping_server",
  "cancel_after_begin",
  "cancel_after_first_response",
  "status_code_and_message",
  "special_status_message",
  "custom_metadata",
  "unimplemented_method",
  "unimplemented_service",
] as const;
const CASE_MS_MAX = 30_000;

export async function grpcInterop(pair: Pair, tools: Tools): Promise<SuiteResult> {
  const { host, port } = pair.service(BackendPort.grpc);
  const cases: Case[] = [];
  for (const name of CASES) {
    const args = [`--server_host=${host}`, `--server_port=${port}`, `--test_case=${name}`];
    const { code, stderr, reason } = await pair.client.run(tools.grpcInteropClient, args, CASE_MS_MAX);
    const last = stderr.trim().split("\n").at(-1) ?? reason;
    cases.push(
      code === 0 ? { name, outcome: "passed" } : { name, outcome: "failed", detail: last || reason },
    );
  }
  return { suite: "grpc-interop", usual: () => "passed", never: [], least: CASES.length, cases };
}
