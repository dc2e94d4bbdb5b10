/** Answers that are followed through changes are those that somebody gets who asks now: nothing is skipped wrongly. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, equals, fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { DestinationProfileSchema, GetDestinationSchema, UpdateSchema } from "../api/gen/destination_pb.ts";
import { InboundExtensionSchema, type InboundExtension } from "../api/gen/hauberk/proxy/v1/inbound_pb.ts";
import { ServerOverlaySchema, UpdateOverlaySchema } from "../api/gen/hauberk/proxy/v1/overlay_pb.ts";
import { PortSpecSchema, ServerSchema } from "../api/gen/inbound_pb.ts";
import { OutboundPolicySchema, TrafficSpecSchema } from "../api/gen/outbound_pb.ts";
import { encodeFrame, type Frame } from "../api/frame.ts";
import { Methods } from "../api/methods.ts";
import { RpcError } from "../api/status.ts";
import { wireTcpAddress } from "../api/wire.ts";
import { destinationMethods } from "../destination/grpc.ts";
import { endpointAt } from "../destination/profile.ts";
import { parseIp } from "../model/address.ts";
import { policyMethods } from "../policy/grpc.ts";
import type { KeySets } from "../model/jwks.ts";
import { applyAll, relistAll, type Snapshot } from "../state/snapshot.ts";
import { Latest } from "../state/subscribe.ts";
import { worldOf } from "./fixture.ts";

const IPS = ["10.1.0.1", "10.1.0.2", "10.1.0.3"];
const NAMESPACES = ["shop", "bank"];

interface PodSpec {
  readonly namespace: string;
  readonly name: string;
  readonly ip: string;
  readonly app: string;
  readonly account: string;
  readonly isReady: boolean;
}

const pod = ({ namespace, name, ip, app, account, isReady }: PodSpec) => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, labels: {app: ${app}, linkerd.io/control-plane-ns: linkerd}}
spec: {serviceAccountName: ${account}, containers: [{name: app, ports: [{name: http, containerPort: 8080}]}]}
status: {podIP: ${ip}, conditions: [{type: Ready, status: "${isReady ? "True" : "False"}"}]}
`;

const FIXED = NAMESPACES.flatMap((namespace) => [
  `{apiVersion: v1, kind: Namespace, metadata: {name: ${namespace}}}`,
  `apiVersion: v1
kind: Service
metadata: {name: web, namespace: ${namespace}}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
`,
]);

/** Shares of the limit depend on the pods of the namespace. */
const LIMITED = [
  `apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, port: 8080}
`,
  `apiVersion: policy.hauberk.io/v1alpha1
kind: HTTPRateLimitPolicy
metadata: {name: web, namespace: shop}
spec: {targetRef: {kind: Server, name: web}, scope: Cluster, total: {requestsPerSecond: 90}}
`,
];

/** A slice in one namespace that points at a pod of the other. */
const CROSSING = `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-by-hand, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints: [{addresses: [10.1.0.9], targetRef: {kind: Pod, namespace: bank, name: p}}]
`;

const podSpec: fc.Arbitrary<PodSpec> = fc.record({
  namespace: fc.constantFrom(...NAMESPACES),
  name: fc.constantFrom("p", "q"),
  ip: fc.constantFrom(...IPS),
  app: fc.constantFrom("web", "other"),
  account: fc.constantFrom("default", "special"),
  isReady: fc.boolean(),
});
/** One pod comes, changes or goes at a time. */
const steps = fc
  .array(fc.record({ spec: podSpec, goes: fc.boolean() }), { minLength: 4, maxLength: 16 })
  .map((all) => {
    const present = new Map<string, string>();
    return all.map(({ spec, goes }) => {
      const key = `${spec.namespace}/${spec.name}`;
      if (goes && present.has(key)) present.delete(key);
      else present.set(key, pod(spec));
      return [...present.values()];
    });
  });
const history = fc.record({
  fixed: fc.constantFrom(FIXED, [...FIXED, ...LIMITED], [...FIXED, CROSSING]),
  worlds: steps,
});

function methodsOf(snapshots: Latest<Snapshot>): Methods {
  const { settings } = worldOf([]);
  const methods = new Methods();
  destinationMethods(methods, { snapshots, settings });
  policyMethods(methods, {
    snapshots,
    settings,
    keySets: new Latest<KeySets>(new Map()),
    endpointAt: (ip, port) =>
      endpointAt(ip, port, {
        snapshot: snapshots.value,
        settings,
        clientZone: undefined,
        clientNamespace: undefined,
      }),
  });
  return methods;
}

const SERVICE = "/io.linkerd.proxy";

/** Questions as a proxy asks them: where, with what, and how two answers to it are compared. */
interface Question {
  readonly path: string;
  readonly body: Frame;
  readonly same: (followed: Uint8Array, fresh: Uint8Array) => boolean;
}

/** What an update says of the whole set. */
function digest(bytes: Uint8Array): bigint | undefined {
  return fromBinary(UpdateOverlaySchema, bytes).extension?.digest;
}

/** The limits of a port, whatever its version. */
function limitsOf(bytes: Uint8Array): InboundExtension {
  const { extension } = fromBinary(ServerOverlaySchema, bytes);
  return create(InboundExtensionSchema, { rateLimits: extension?.rateLimits ?? [] });
}

function isEmpty(bytes: Uint8Array): boolean {
  return fromBinary(UpdateSchema, bytes).update.case === "noEndpoints";
}

function questions(): readonly Question[] {
  const contextToken = JSON.stringify({ ns: "shop", pod: "p" });
  const get = (path: string) =>
    encodeFrame(GetDestinationSchema, create(GetDestinationSchema, { path, contextToken }));
  return NAMESPACES.flatMap((namespace): readonly Question[] => [
    {
      path: `${SERVICE}.destination.Destination/Get`,
      body: get(`web.${namespace}.svc.cluster.local:80`),
      same: (a, b) => digest(a) === digest(b) && isEmpty(a) === isEmpty(b),
    },
    ...["p", "q"].map((name) => ({
      path: `${SERVICE}.inbound.InboundServerPolicies/WatchPort`,
      body: encodeFrame(
        PortSpecSchema,
        create(PortSpecSchema, { workload: JSON.stringify({ ns: namespace, pod: name }), port: 8080 }),
      ),
      same: (a: Uint8Array, b: Uint8Array) =>
        equals(ServerSchema, fromBinary(ServerSchema, a), fromBinary(ServerSchema, b)) &&
        equals(InboundExtensionSchema, limitsOf(a), limitsOf(b)),
    })),
  ]).concat(
    IPS.flatMap((text): readonly Question[] => {
      const ip = parseIp(text);
      assert.ok(ip !== undefined);
      const target = { case: "addr", value: wireTcpAddress(ip, 8080) } as const;
      const spec = create(TrafficSpecSchema, {
        sourceWorkload: JSON.stringify({ ns: "shop", pod: "p" }),
        target,
      });
      return [
        {
          path: `${SERVICE}.outbound.OutboundPolicies/Watch`,
          body: encodeFrame(TrafficSpecSchema, spec),
          same: (a, b) =>
            equals(
              OutboundPolicySchema,
              fromBinary(OutboundPolicySchema, a),
              fromBinary(OutboundPolicySchema, b),
            ),
        },
        {
          path: `${SERVICE}.destination.Destination/GetProfile`,
          body: get(`${text}:8080`),
          same: (a, b) =>
            equals(
              DestinationProfileSchema,
              fromBinary(DestinationProfileSchema, a),
              fromBinary(DestinationProfileSchema, b),
            ),
        },
      ];
    }),
  );
}

/** The last message of a frame. */
function last(frame: Frame): Uint8Array {
  let message: Uint8Array = frame;
  for (let at = 0; at < frame.length;) {
    const end = at + 5 + frame.readUInt32BE(at + 1);
    message = frame.subarray(at + 5, end);
    at = end;
  }
  return message;
}

/** A question as one proxy follows it: asked again when it ends or was refused. */
class Following {
  readonly #question: Question;
  #answer: Uint8Array | undefined;
  #take: (() => Frame | undefined) | undefined;

  constructor(question: Question) {
    this.#question = question;
  }

  /** The last thing heard; `undefined`: there is no answer. */
  hear(methods: Methods): Uint8Array | undefined {
    if (this.#take === undefined) this.#open(methods);
    const frame = this.#take?.();
    if (frame !== undefined) this.#answer = last(frame);
    return this.#answer;
  }

  #open(methods: Methods): void {
    const handler = methods.find(this.#question.path);
    assert.ok(handler?.kind === "stream");
    try {
      const topic = handler.open(this.#question.body);
      const subscription = topic.join({
        wake: () => undefined,
        end: () => {
          subscription.leave();
          this.#take = undefined;
          this.#answer = undefined;
        },
      });
      this.#take = () => subscription.take();
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
    }
  }
}

test("what is followed through changes is what somebody is told who asks now", () => {
  fc.assert(
    fc.property(history, ({ fixed, worlds }) => {
      const snapshots = new Latest(worldOf(fixed).snapshot);
      const methods = methodsOf(snapshots);
      const all = questions().map((question) => ({ question, followed: new Following(question) }));
      for (const pods of worlds) {
        snapshots.set(applyAll(snapshots.value, relistAll(worldOf([...fixed, ...pods]).objects)));
        const now = methodsOf(new Latest(snapshots.value));
        for (const { question, followed } of all) {
          const [heard, fresh] = [followed.hear(methods), new Following(question).hear(now)];
          if (heard === undefined || fresh === undefined) assert.equal(heard, fresh, question.path);
          else assert.ok(question.same(heard, fresh), question.path);
        }
      }
    }),
    { numRuns: 30 },
  );
});
