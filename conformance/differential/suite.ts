/** What the proxy sends on, judged by two independent readers: every message is exactly one request to both, and the same one. */
import { METHODS } from "node:http";
import type { Case, SuiteResult } from "../report.ts";
import { nextCase, type Case as Sent } from "./cases.ts";
import { Chance } from "./chance.ts";
import { Forwarder } from "./forwarder.ts";
import { H11, Llhttp, type Found } from "./readers.ts";

/** Cases that are judged together: fewer would wait for pipes. */
const BATCH = 500;
/** Cases with one seed; a failing one is named by it. */
const SHARE = 10_000;
/** A generator whose cases are all refused would prove nothing. */
const FORWARDED_SHARE_MIN = 0.1;
const TOLD_MAX = 5;

/** Why the readers' findings are not those of one well-formed request; nothing where they are. */
export function disagreement(h11: Found, llhttp: Found): string | undefined {
  if (h11.error !== null) return `h11: ${h11.error}`;
  if (h11.requests.length !== 1) return `${h11.requests.length} requests to h11`;
  // llhttp has a list of methods; a server that refuses others misreads nothing.
  if (!METHODS.includes(h11.requests[0]?.[0] ?? "")) return undefined;
  if (llhttp.error !== null) return `llhttp: ${llhttp.error}`;
  if (llhttp.requests.length !== 1) return `${llhttp.requests.length} requests to llhttp`;
  const [one, other] = [JSON.stringify(h11.requests), JSON.stringify(llhttp.requests)];
  return one === other ? undefined : `h11 read ${one}, llhttp ${other}`;
}

/** Judges `count` generated cases, in shares that each have a seed from `seed` on. */
export async function differential(python: string, count: number, seed: number): Promise<SuiteResult> {
  const readers = { h11: new H11(python), llhttp: new Llhttp() };
  const forwarder = await Forwarder.start();
  const cases: Case[] = [];
  try {
    for (let done = 0; done < count; done += SHARE) {
      cases.push(await share(forwarder, readers, seed + done / SHARE, Math.min(SHARE, count - done)));
    }
  } finally {
    forwarder.close();
    readers.h11.close();
  }
  return {
    suite: "differential",
    usual: () => "agreed",
    never: ["disagreed"],
    least: Math.ceil(count / SHARE),
    cases,
  };
}

interface Readers {
  readonly h11: H11;
  readonly llhttp: Llhttp;
}

async function share(forwarder: Forwarder, readers: Readers, seed: number, count: number): Promise<Case> {
  const chance = new Chance(seed);
  const told: string[] = [];
  let [forwarded, messages, disagreed] = [0, 0, 0];
  for (let done = 0; done < count; done += BATCH) {
    const sent = Array.from({ length: Math.min(BATCH, count - done) }, () => nextCase(chance));
    const answers = await forwarder.forward(sent);
    forwarded += answers.filter(({ length }) => length > 0).length;
    const all = answers.flatMap((found, index) => found.map((message) => ({ message, from: sent[index] })));
    messages += all.length;
    const ofH11 = await readers.h11.read(all.map(({ message }) => message));
    for (const [index, { message, from }] of all.entries()) {
      const h11 = ofH11[index];
      if (h11 === undefined) throw new Error("h11 answered too little");
      const problem = disagreement(h11, await readers.llhttp.read(message));
      if (problem === undefined) continue;
      disagreed += 1;
      if (told.length < TOLD_MAX) told.push(`${problem}: ${show(message)} of ${shown(from)}`);
    }
  }
  const detail = `${count} cases, ${forwarded} sent on as ${messages} messages${told.map((one) => `\n      ${one}`).join("")}`;
  const outcome =
    disagreed > 0 ? "disagreed" : forwarded < count * FORWARDED_SHARE_MIN ? "looked at nothing" : "agreed";
  return { name: `seed ${seed}`, outcome, detail };
}

function show(bytes: Buffer): string {
  return JSON.stringify(bytes.toString("latin1"));
}

function shown(sent: Sent | undefined): string {
  return sent === undefined ? "nothing" : `kind ${sent.kind} ${show(sent.bytes)}`;
}
