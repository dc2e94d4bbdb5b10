/** `hauberk.proxy.v1.Trust` on the wire: the bundle pushed to proxies, and their proof of what they trust. */
import { create } from "@bufbuild/protobuf";
import { encodeFrame } from "../api/frame.ts";
import {
  Trust,
  TrustBundleSchema,
  TrustReportedSchema,
  type TrustReport,
  type TrustReported,
} from "../api/gen/hauberk/proxy/v1/trust_pb.ts";
import type { Methods } from "../api/methods.ts";
import { Code, RpcError } from "../api/status.ts";
import { Topic } from "../api/topic.ts";
import { requireWorkload, type Workload } from "../api/workload.ts";
import { workloadIdentity, type IdentityDomain } from "../model/identity.ts";
import { keyOf } from "../model/meta.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { Latest } from "../state/subscribe.ts";
import { explainReport, judgeReport, type ProvenTrust } from "./trust-report.ts";
import type { TrustBundle } from "./trust.ts";

/** Least time over which proxies renew after the issuer changed. */
const RENEW_WITHIN_MS_MIN = 5_000;

/** Time for each proxy of the mesh: the identity service issues a hundred certificates a second at the most. */
const RENEW_MS_EACH = 10;

/** Longest time over which proxies renew. */
const RENEW_WITHIN_MS_MAX = 600_000;

/** Clocks of replicas differ; a report that is to count comes this much later. */
const AGAIN_SLACK_MS = 2_000;

/** What proxies are to trust and who certifies them, as it is now. */
export interface TrustInForce {
  readonly bundle: TrustBundle;
  /** Fingerprint of the issuer of leaves, if it is known here. */
  readonly issuer: string | undefined;
}

/** A report that held, of a workload that was there. */
export interface Reported extends ProvenTrust {
  readonly workload: Workload;
  readonly uid: string;
  readonly atMs: number;
}

/** What the service needs from its process. */
export interface TrustOptions {
  readonly inForce: Latest<TrustInForce>;
  readonly snapshots: Latest<Snapshot>;
  readonly domain: IdentityDomain;
  readonly nowMs: () => number;
  /** How long a change may take to reach every replica: `RotationTiming.spreadMs`. */
  readonly spreadMs: number;
  /** Hears of reports that prove nothing, for logs. */
  readonly refused?: (workload: string, reason: string) => void;
}

/** What the service knows. */
export interface TrustGauges {
  /** The last report of each workload that is still there. */
  readonly reports: () => readonly Reported[];
  /** Streams that follow the bundle. */
  readonly followers: () => number;
  readonly stop: () => void;
}

interface Known {
  readonly uid: string;
  /** The name that its certificate must have. */
  readonly identity: string;
}

function find(
  { of, namespace, name }: Workload,
  snapshot: Snapshot,
  domain: IdentityDomain,
): Known | undefined {
  if (of === "ExternalWorkload") {
    const external = snapshot.ExternalWorkload.get(keyOf({ namespace, name }));
    return external === undefined ? undefined : { uid: external.meta.uid, identity: external.identity };
  }
  const pod = snapshot.Pod.get(keyOf({ namespace, name }));
  if (pod === undefined || pod.isFinished) return undefined;
  const identity = workloadIdentity({ namespace, name: pod.serviceAccount }, domain);
  return identity === undefined ? undefined : { uid: pod.meta.uid, identity: identity.dnsName };
}

function keyOfWorkload({ of, namespace, name }: Workload): string {
  return `${of}/${namespace}/${name}`;
}

/** The reports of workloads, the last of each. */
class Reports {
  readonly #options: TrustOptions;
  readonly #reports = new Map<string, Reported>();
  /** When what is in force changed last, as far as this process knows: it may have begun amid a change. */
  #changedMs: number;

  constructor(options: TrustOptions) {
    this.#options = options;
    this.#changedMs = options.nowMs();
  }

  hear(report: TrustReport): TrustReported {
    const { inForce, snapshots, domain, nowMs, refused } = this.#options;
    const workload = requireWorkload(report.workload);
    const known = find(workload, snapshots.value, domain);
    if (known === undefined) throw new RpcError(Code.NotFound, "there is no such workload");
    const { bundle, issuer } = inForce.value;
    const atMs = nowMs();
    const expected = { anchors: bundle.anchors, identity: known.identity, nowMs: atMs };
    const verdict = judgeReport(report, expected);
    if (!verdict.ok) {
      this.#reports.delete(keyOfWorkload(workload));
      refused?.(keyOfWorkload(workload), explainReport(verdict.refusal));
      // What it has is worth nothing any more, so it is told to renew; anything else is an error of the proxy's.
      if (verdict.refusal.code === "not_trusted" && issuer !== undefined) return this.#renew();
      throw new RpcError(Code.InvalidArgument, explainReport(verdict.refusal));
    }
    this.#reports.set(keyOfWorkload(workload), { ...verdict.proven, workload, uid: known.uid, atMs });
    const isOld = issuer !== undefined && verdict.proven.issuer !== issuer;
    if (isOld) return this.#renew();
    const settledMs = this.#changedMs + this.#options.spreadMs - atMs;
    return create(TrustReportedSchema, { againMs: settledMs > 0 ? settledMs + AGAIN_SLACK_MS : 0 });
  }

  /** What is in force has changed: what is reported soon after is to be said again. */
  changed(): void {
    this.#changedMs = this.#options.nowMs();
  }

  /** The reports of workloads that are there; others are forgotten. */
  live(): readonly Reported[] {
    const { snapshots, domain } = this.#options;
    for (const [key, { workload, uid }] of this.#reports) {
      if (find(workload, snapshots.value, domain)?.uid !== uid) this.#reports.delete(key);
    }
    return [...this.#reports.values()];
  }

  #renew(): TrustReported {
    const spreadMs = Math.max(RENEW_WITHIN_MS_MIN, RENEW_MS_EACH * this.#reports.size);
    const renewWithinMs = Math.min(spreadMs, RENEW_WITHIN_MS_MAX);
    return create(TrustReportedSchema, { renew: true, renewWithinMs });
  }
}

/** Adds the service to a listener's methods. */
export function trustMethods(methods: Methods, options: TrustOptions): TrustGauges {
  const { inForce } = options;
  const reports = new Reports(options);
  const topic = new Topic<TrustInForce>(
    inForce.value,
    (_, { bundle, issuer }) =>
      encodeFrame(
        TrustBundleSchema,
        create(TrustBundleSchema, {
          anchors: Buffer.from(bundle.pem, "utf8"),
          issuer: Buffer.from(issuer ?? "", "hex"),
        }),
      ),
    () => undefined,
  );
  methods
    .stream(Trust.method.watch, ({ workload }) => {
      requireWorkload(workload);
      return topic;
    })
    .unary(Trust.method.report, (report) => reports.hear(report));
  return {
    reports: () => reports.live(),
    followers: () => topic.readers,
    stop: inForce.listen((next, before) => {
      const isSame = next.bundle.digest === before.bundle.digest && next.issuer === before.issuer;
      if (isSame) return;
      reports.changed();
      topic.publish(next);
    }),
  };
}
