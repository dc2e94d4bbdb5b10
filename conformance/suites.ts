/** Every suite, what it needs, and whether anything may go on beside it. */
import { join } from "node:path";
import { attack } from "./attack/suite.ts";
import { chaos } from "./chaos/suite.ts";
import { clock } from "./clock/suite.ts";
import { differential } from "./differential/suite.ts";
import { exhaustion } from "./exhaustion/suite.ts";
import { externalIssuer } from "./external-issuer/suite.ts";
import { flood } from "./flood/suite.ts";
import { buildEngine } from "./fuzz/engine.ts";
import { again, fuzz } from "./fuzz/suite.ts";
import { gatewayApi } from "./gateway-api/suite.ts";
import { grpcInterop } from "./grpc-interop/suite.ts";
import { h2spec } from "./h2spec/suite.ts";
import { h2specd } from "./h2specd/suite.ts";
import { handshake } from "./handshake/suite.ts";
import { http1Corpus } from "./http1-corpus/suite.ts";
import { kubernetes, operations } from "./kubernetes/suite.ts";
import { prepare as prepareCluster } from "./kubernetes/world.ts";
import { leak } from "./leak/suite.ts";
import { manifests } from "./manifests/suite.ts";
import { oscal } from "./oscal/suite.ts";
import type { Orders } from "./orders.ts";
import type { Pair } from "./pair/pair.ts";
import { policyView } from "./policy-view/suite.ts";
import type { SuiteResult } from "./report.ts";
import { postQuantum } from "./post-quantum/suite.ts";
import { progressive } from "./progressive/suite.ts";
import { slow } from "./slow/suite.ts";
import { storm } from "./storm/suite.ts";
import { supplyChain } from "./supply-chain/suite.ts";
import { installTools, type Tools } from "./tools.ts";

/** Says what goes on, while it goes on. */
export const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

/** The pinned programs of others. */
export const install = (): Promise<Tools> => installTools((step) => say(`· ${step} ...`));

/** What takes minutes where it was never built, and is the same for every run: made early, with the lowest priority. */
export const PREPARATIONS = {
  tools: async (): Promise<void> => void (await install()),
  fuzzers: async (): Promise<void> => void (await buildEngine()),
  cluster: (): Promise<void> => prepareCluster(say),
} as const;
export type Need = keyof typeof PREPARATIONS;

interface Common {
  readonly name: string;
  readonly needs: readonly Need[];
  /** Not part of a run that names no suite. */
  readonly isAskedFor?: boolean;
}

/** Runs against the one pair that all of them share; its time is its own. */
export interface PairSuite extends Common {
  readonly lane: "pair";
  readonly run: (pair: Pair, tools: Tools) => Promise<SuiteResult>;
}

/**
 * `alone`: what it sees depends on time, so that no other suite runs meanwhile. `beside`: it computes, and what it finds
 * does not depend on how fast; it runs beside the others, with the lowest priority.
 */
export interface OwnSuite extends Common {
  readonly lane: "alone" | "beside";
  readonly run: (orders: Orders) => Promise<SuiteResult>;
}
export type Suite = PairSuite | OwnSuite;

/** Targets of the fuzzers at once. */
const FUZZ_PARALLEL = 2;

const pair = (name: string, run: PairSuite["run"]): Suite => ({ name, lane: "pair", needs: ["tools"], run });
const alone = (name: string, run: OwnSuite["run"]): Suite => ({ name, lane: "alone", needs: [], run });

/** In the order of the report, and of what goes on beside others: first what needs none of cargo's locks. Those that need most time to be prepared stand last. */
export const SUITES: readonly Suite[] = [
  pair("handshake", handshake),
  pair("h2spec", h2spec),
  pair("h2specd", h2specd),
  pair("grpc-interop", grpcInterop),
  pair("http1-corpus", http1Corpus),
  alone("attack", ({ isLong, only }) => attack({ seconds: isLong ? 7 : 3, isEach: isLong }, only)),
  alone("slow", ({ isLong, only }) => slow(isLong ? 10_000 : 1_000, only)),
  alone("leak", ({ isLong, requests }) => leak(requests ?? (isLong ? 10_000_000 : 200_000))),
  alone("chaos", ({ isLong, only }) => chaos(isLong ? 1_800 : 10, only)),
  alone("clock", ({ isLong }) => clock(isLong)),
  alone("flood", ({ isLong }) => flood(isLong ? 20 : 5, isLong)),
  alone("storm", ({ isLong }) => storm(isLong ? 2_000 : 500)),
  alone("exhaustion", ({ only }) => exhaustion(only)),
  {
    name: "fuzz",
    lane: "beside",
    needs: ["fuzzers"],
    run: ({ effort, only, input, out }) => {
      const orders = { effort, only, out: join(out, "fuzz"), parallel: FUZZ_PARALLEL, say };
      return input === undefined ? fuzz(orders) : again(input, orders);
    },
  },
  {
    name: "policy-view",
    lane: "beside",
    needs: [],
    run: ({ isLong, seed }) => policyView(isLong ? 1_000_000 : 100_000, seed),
  },
  {
    name: "differential",
    lane: "beside",
    needs: ["tools"],
    run: async ({ isLong, seed }) =>
      differential((await install()).python, isLong ? 1_000_000 : 50_000, seed),
  },
  // By its name: minutes of handshakes. 200 of each kind are part of every run, in conformance/mesh.
  {
    name: "post-quantum",
    lane: "alone",
    needs: [],
    isAskedFor: true,
    run: ({ isLong }) => postQuantum(isLong ? 100_000 : 2_000),
  },
  // By its name: it needs Maven, and Python packages of a hundred megabytes.
  { name: "oscal", lane: "beside", needs: [], isAskedFor: true, run: () => oscal() },
  // By its name: Helm's engine takes minutes to build where it was never built.
  { name: "manifests", lane: "beside", needs: [], isAskedFor: true, run: () => manifests() },
  // By its name: cosign and its like take ten minutes of a processor to build where they were never built.
  {
    name: "supply-chain",
    lane: "beside",
    needs: [],
    isAskedFor: true,
    run: ({ only }) => supplyChain(only, say),
  },
  // On a cluster; the first of them by its name, until all of its acts have been seen to hold on two nodes.
  {
    name: "kubernetes",
    lane: "alone",
    needs: ["cluster"],
    isAskedFor: true,
    run: ({ only }) => kubernetes(only, say),
  },
  // By its name: three nodes for minutes.
  {
    name: "operations",
    lane: "alone",
    needs: ["cluster"],
    isAskedFor: true,
    run: ({ only }) => operations(only, say),
  },
  // By its name: it has a cluster of its own for three minutes.
  {
    name: "external-issuer",
    lane: "alone",
    needs: ["cluster"],
    isAskedFor: true,
    run: () => externalIssuer(say),
  },
  // By its name: Flagger takes minutes to build where it was never built.
  {
    name: "progressive",
    lane: "alone",
    needs: ["cluster"],
    isAskedFor: true,
    run: ({ out }) => progressive(join(out, "progressive"), say),
  },
  {
    name: "gateway-api",
    lane: "alone",
    needs: ["cluster"],
    run: ({ only, out }) => gatewayApi(join(out, "gateway-api"), only, say),
  },
];
