// One request from the command line, and what came of it as one JSON line:
//
//   node call.ts http http://payments.prod:8080/payments/p-1
//   node call.ts grpc risk.prod:9000
//   node call.ts ledger ledger.prod:7070
import { status } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";
import { channel, get, ledger, unary } from "./clients.ts";
import { service } from "./grpc.ts";

const TIMEOUT_MS = 5_000;

/** `outcome` is `answered`, an HTTP status, a gRPC status name, or `refused` when there was no answer at all. */
interface Result {
  readonly outcome: string;
  readonly detail: string;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error && typeof error.code === "number";
}

async function http(url: string): Promise<Result> {
  const answer = await get(url, { timeoutMs: TIMEOUT_MS });
  return {
    outcome: String(answer.status),
    detail: answer.body.trim() || String(answer.headers["l5d-proxy-error"]),
  };
}

async function grpc(address: string): Promise<Result> {
  const client = channel(address);
  try {
    const message = { id: "p-1", cents: 100 };
    const reply = await unary(client, service("Risk"), { method: "Assess", message, timeoutMs: TIMEOUT_MS });
    return { outcome: "OK", detail: JSON.stringify(reply) };
  } catch (error) {
    if (!isServiceError(error)) throw error;
    return { outcome: status[error.code] ?? String(error.code), detail: error.details };
  } finally {
    client.close();
  }
}

async function tcp(address: string): Promise<Result> {
  const { greeting, answer } = await ledger(address, "TOTAL", TIMEOUT_MS);
  return { outcome: "answered", detail: `${greeting} / ${answer}` };
}

const calls: Readonly<Record<string, (target: string) => Promise<Result>>> = { http, grpc, ledger: tcp };
const [protocol = "", target = ""] = process.argv.slice(2);
const call = calls[protocol];
if (call === undefined || target === "") {
  console.error("usage: call.ts http URL | grpc HOST:PORT | ledger HOST:PORT");
  process.exitCode = 2;
} else {
  const result = await call(target).catch((error: unknown) => ({
    outcome: "refused",
    detail: error instanceof Error ? error.message : String(error),
  }));
  console.log(JSON.stringify(result));
}
