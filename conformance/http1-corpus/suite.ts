/** gunicorn's raw HTTP/1 requests through the pair, what arrives judged by h11. */
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { BackendPort, type Address, type Pair, type Place } from "../pair/pair.ts";
import type { Case, SuiteResult } from "../report.ts";
import type { Tools } from "../tools.ts";
import { readCorpus, type Kind } from "./corpus.ts";
import { Judge } from "./judge.ts";
import { outcomeOf, usual } from "./verdict.ts";

/** A proxy that says nothing for so long is waiting for more bytes, or has nothing to add. */
const QUIET_MS = 300;
/** Longest wait for the first byte of an answer. */
const ANSWER_MS_MAX = 1_500;
/** What a proxy forwards after the client has gone needs a moment to arrive. */
const SETTLE_MS = 60;
/** The corpus of the pinned version. */
const CASES_LEAST = 140;

/** The script of the oracle. */
export const JUDGE = join(import.meta.dirname, "judge.py");

export async function http1Corpus(pair: Pair, tools: Tools): Promise<SuiteResult> {
  const judge = new Judge(tools.python, JUDGE);
  const cases: Case[] = [];
  try {
    await takeRecorded(pair.recorder);
    for (const { name, bytes } of readCorpus(tools.corpus)) {
      const answer = await exchange(pair.client, pair.service(BackendPort.http1), bytes);
      await sleep(SETTLE_MS);
      const received = await Promise.all((await takeRecorded(pair.recorder)).map((raw) => judge.read(raw)));
      const sent = await judge.read(bytes);
      const codes = Array.from(
        answer.toString("latin1").matchAll(/^HTTP\/1\.[01] (\d{3})/gm),
        ([, code]) => code,
      );
      const seen = received.map((one) => one.error ?? `${one.complete} whole`).join("; ");
      cases.push({
        name,
        outcome: outcomeOf(sent, received),
        detail: `answered ${codes.join(" ") || "nothing"}; h11 on what was sent: ${sent.error ?? `${sent.complete} whole`}; on what arrived: ${seen || "nothing"}`,
      });
    }
  } finally {
    judge.close();
  }
  return {
    suite: "http1-corpus",
    usual: (name) => usual(kindOf(name)),
    never: ["leaked", "split"],
    least: CASES_LEAST,
    cases,
  };
}

function kindOf(name: string): Kind {
  return name.startsWith("valid/") ? "valid" : "invalid";
}

/** Sends bytes on a connection of their own and collects the answer until the peer closes or falls silent. */
async function exchange(from: Place, to: Address, bytes: Uint8Array): Promise<Buffer> {
  const socket = await from.dial(to);
  const parts: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  let timer = setTimeout(resolve, ANSWER_MS_MAX);
  socket.on("data", (part: Buffer) => {
    parts.push(part);
    clearTimeout(timer);
    timer = setTimeout(resolve, QUIET_MS);
  });
  socket.once("end", () => resolve());
  socket.once("close", () => resolve());
  socket.write(bytes);
  await promise;
  clearTimeout(timer);
  socket.destroy();
  return Buffer.concat(parts);
}

/** What the backend was sent since the last time, one buffer a connection. */
async function takeRecorded(control: string): Promise<readonly Buffer[]> {
  const parts: Buffer[] = [];
  for await (const part of connect({ path: control })) parts.push(z.instanceof(Buffer).parse(part));
  const taken = z.array(z.string()).parse(JSON.parse(Buffer.concat(parts).toString("utf8")));
  return taken.map((hex) => Buffer.from(hex, "hex"));
}
