import { randomUUID } from "node:crypto";
import { mkdirSync, openSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { injection, sidecar } from "../proxy-injector/sidecar.ts";
import type { SidecarConfig } from "../proxy-injector/sidecar.ts";
import type { Problem } from "../source/manifests/document.ts";
import { watchManifests } from "../source/manifests/load.ts";
import type { Loaded } from "../source/manifests/load.ts";
import { Attendant } from "./attendant-client.ts";
import { newAuthority, trustRootSha256, writeToken } from "./authority.ts";
import type { MeshAuthority } from "./authority.ts";
import {
  CONTROL_PLANE_NAMESPACE,
  CONTROL_PLANE_PORTS,
  controlPlaneIdentity,
  controlPlanePlan,
  tapIdentity,
  vizPlan,
} from "./control-plane.ts";
import { resolvConf } from "./dns.ts";
import { processOf } from "./environment.ts";
import type { ServerCertificate } from "./handshake.ts";
import { Janitor } from "./janitor.ts";
import { changes, freeAddress, planPods, podKey } from "./plan.ts";
import type { PodPlan } from "./plan.ts";
import { podLabels } from "./pod-object.ts";
import type { PodIdentity, ProxyFacts } from "./pod-object.ts";
import { Pod } from "./pod.ts";
import type { PodProxy, PodWorld } from "./pod.ts";
import { Sandbox } from "./sandbox.ts";
import { listeners, zone } from "./services.ts";
import type { Backend } from "./services.ts";
import type { StatePaths } from "./state.ts";
import { NOTHING_WANTED, want } from "./wanted.ts";
import type { Wanted } from "./wanted.ts";

/** The redirection knows the proxy's own sockets by this mark. */
const PROXY_MARK = 0x8102;
/** Pods that are started at once. More would only wait for each other's share of the processors. */
const STARTS_AT_ONCE = 4;
/** A mesh that goes down as a whole gives its processes this long: whoever they would talk to goes as well. */
const DOWN_GRACE_MS = 1_000;
/** Join tokens are made anew long before their day is over. */
const TOKEN_RENEW_MS = 6 * 3_600_000;
const CLUSTER_NETWORKS = ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"];
const CLUSTER_DOMAIN = "cluster.local";
const TRUST_DOMAIN = "cluster.local";
/** What a proxy trusts when it starts. */
const TRUST_ANCHORS = "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS";
const NODE = "standalone";
/** What every process gets of the environment in which the mesh was started. */
const INHERITED = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"] as const;

/** How a mesh is started. */
export interface MeshOptions {
  readonly paths: StatePaths;
  /** Directories of the user's manifests. */
  readonly manifests: readonly string[];
  readonly binaries: { readonly proxy: string; readonly sandbox: string };
  readonly controller: readonly string[];
  readonly controllerArgs: readonly string[];
  /** Absent: nothing is scraped. */
  readonly viz: readonly string[] | undefined;
  readonly rootless: boolean;
  readonly version: string;
  readonly logLevel: string;
  /** Further settings of every proxy. */
  readonly proxyEnvironment: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What happens, for people. */
  readonly say: (text: string) => void;
}

/** Manifests that a mesh cannot start with. */
export class ManifestError extends Error {
  override readonly name = "ManifestError";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super("the manifests cannot be run");
    this.problems = problems;
  }
}

interface Parts {
  readonly sandbox: Sandbox;
  readonly attendant: Attendant;
  readonly authority: MeshAuthority;
  readonly janitor: Janitor;
}

/** A mesh on this machine: the sandbox, the control plane, and everybody's pods. */
export class Mesh {
  readonly #options: MeshOptions;
  readonly #pods = new Map<string, Pod>();
  readonly #listening = new Map<string, string>();
  readonly #stop = new AbortController();
  readonly #startedAt = new Date().toISOString();
  readonly #parts: Parts;
  #wanted: Wanted = NOTHING_WANTED;
  #notes: readonly Problem[] = [];
  #refreshing: Promise<void> | undefined;
  #refreshAgain = false;
  #reconciling: Promise<void> = Promise.resolve();

  private constructor(options: MeshOptions, parts: Parts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** Starts everything, and returns when the first manifests' pods have been started. */
  static async start(options: MeshOptions, first: Loaded): Promise<Mesh> {
    const wanted = want(NOTHING_WANTED, first);
    const errors = wanted.problems.filter(({ severity }) => severity === "error");
    if (errors.length > 0) throw new ManifestError(errors);
    const { paths } = options;
    for (const dir of [paths.dir, paths.identity, paths.objects, paths.pods, paths.names])
      mkdirSync(dir, { recursive: true, mode: 0o700 });
    const janitor = new Janitor(paths.dir);
    try {
      const log = openSync(join(paths.dir, "sandbox.log"), "a", 0o600);
      const domain = { trustDomain: TRUST_DOMAIN, controlPlaneNamespace: CONTROL_PLANE_NAMESPACE };
      const [sandbox, authority] = await Promise.all([
        Sandbox.start(options.binaries.sandbox, { log, rootless: options.rootless }),
        newAuthority(paths.identity, domain),
      ]);
      options.say(`sandbox: ${sandbox.mode}, pods in 10.244.0.0/16`);
      const attendant = new Attendant(sandbox, join(paths.dir, "attendant.log"));
      const mesh = new Mesh(options, { sandbox, attendant, authority, janitor });
      await mesh.#begin(wanted);
      return mesh;
    } catch (error) {
      await janitor.finish();
      throw error;
    }
  }

  /** Obeys changes of the manifests until the mesh is closed. */
  async follow(): Promise<void> {
    const { manifests } = this.#options;
    for await (const loaded of watchManifests(manifests, { signal: this.#stop.signal })) {
      this.#wanted = want(this.#wanted, loaded);
      await this.#reconcile();
    }
  }

  get startedAt(): string {
    return this.#startedAt;
  }

  get mode(): "root" | "rootless" {
    return this.#parts.sandbox.mode;
  }

  get pods(): readonly Pod[] {
    return [...this.#pods.values()];
  }

  get problems(): readonly Problem[] {
    return [...this.#wanted.problems, ...this.#notes];
  }

  pod(namespace: string, name: string): Pod | undefined {
    return this.#pods.get(`${namespace}/${name}`);
  }

  get controlPlane(): Pod | undefined {
    return this.pod(CONTROL_PLANE_NAMESPACE, "linkerd-destination");
  }

  /** What a pod's proxy shows to those who connect. */
  async certificate(pod: Pod): Promise<ServerCertificate> {
    const { proxy, ips } = pod.identity;
    if (proxy === undefined) throw new Error(`pod ${pod.key} has no proxy`);
    return this.#parts.attendant.certificate({
      host: ips[0] ?? "",
      port: proxy.inboundPort,
      serverName: proxy.identity,
    });
  }

  /** Stops everything and leaves nothing behind. */
  async close(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    await this.#reconciling.catch(() => undefined);
    const grace = { graceMsMax: DOWN_GRACE_MS };
    await Promise.all(this.pods.filter((pod) => !isSystem(pod)).map((pod) => pod.stop(grace)));
    await Promise.all(this.pods.filter(isSystem).map((pod) => pod.stop(grace)));
    await this.#parts.attendant.close();
    await this.#parts.sandbox.close();
    await this.#parts.janitor.finish();
  }

  async #begin(wanted: Wanted): Promise<void> {
    const { say } = this.#options;
    await this.#parts.attendant.start();
    this.#wanted = wanted;
    const system = await this.#systemPods();
    // The control plane first: nothing meshed is ready without it.
    await Promise.all(
      system.map(async (pod) => {
        await pod.announce();
        await pod.prepare();
        await pod.run();
      }),
    );
    const failed = system.find(({ stage }) => stage === "failed");
    if (failed !== undefined) throw new Error(`${failed.key}: ${failed.problem ?? "it did not start"}`);
    say("control plane: ready");
    await this.#reconcile();
    void this.#renewTokens();
  }

  async #systemPods(): Promise<readonly Pod[]> {
    const { controller, controllerArgs, manifests, paths, viz } = this.#options;
    const control = controlPlanePlan({
      command: controller,
      args: controllerArgs,
      authority: this.#parts.authority,
      trustDomain: TRUST_DOMAIN,
      clusterDomain: CLUSTER_DOMAIN,
      manifests,
      paths,
    });
    const plans = [control, ...(viz === undefined ? [] : [vizPlan(viz, paths)])];
    const pods: Pod[] = [];
    for (const plan of plans) pods.push(await this.#makePod(plan));
    return pods;
  }

  /** One at a time: what runs becomes what is wanted. */
  #reconcile(): Promise<void> {
    this.#reconciling = this.#reconciling.then(() => this.#reconcileOnce());
    return this.#reconciling;
  }

  async #reconcileOnce(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const wanted = planPods([...this.#wanted.workloads.values()]);
    const users = this.pods.filter((pod) => !isSystem(pod));
    const running = new Map(users.map((pod) => [pod.key, { revision: pod.identity.plan.revision }]));
    const { start, stop, replace } = changes(running, wanted);
    await Promise.all(replace.map((key) => this.#removePod(key)));
    this.#notes = [];
    const queue: Pod[] = [];
    for (const plan of start) queue.push(await this.#makePod(plan));
    await Promise.all(queue.map((pod) => pod.announce()));
    const worker = async (): Promise<void> => {
      for (let pod = queue.shift(); pod !== undefined; pod = queue.shift()) {
        await pod.prepare();
        // Not awaited: an init container may wait for a pod that is still in the queue.
        void pod.run();
      }
    };
    await Promise.all(Array.from({ length: STARTS_AT_ONCE }, worker));
    // Old pods go when the new ones had a chance to take over.
    if (start.length > 0 && stop.length > 0) await this.#settled(start);
    await Promise.all(stop.map((key) => this.#removePod(key)));
    await this.#refresh();
  }

  /** Waits until the pods are ready, but not for ever. */
  async #settled(plans: readonly PodPlan[]): Promise<void> {
    const keys = plans.map((plan) => podKey(plan));
    for (let tries = 0; tries < 100 && !this.#stop.signal.aborted; tries += 1) {
      if (keys.every((key) => this.#pods.get(key)?.state.ready === true)) return;
      await sleep(100);
    }
  }

  async #removePod(key: string): Promise<void> {
    const pod = this.#pods.get(key);
    if (pod === undefined) return;
    await pod.stop();
    this.#pods.delete(key);
  }

  async #makePod(plan: PodPlan): Promise<Pod> {
    const { paths } = this.#options;
    const resolvConfFile = join(paths.names, `${plan.namespace}.resolv.conf`);
    await writeFile(resolvConfFile, resolvConf(plan.namespace, CLUSTER_DOMAIN, this.#parts.sandbox.address));
    // From the choice of the address to its entry in the table nothing may wait.
    const ip = freeAddress(new Set(this.pods.flatMap(({ identity }) => identity.ips)));
    if (ip === undefined) throw new Error("the pod network has no address left");
    const dir = join(paths.pods, `${plan.namespace}_${plan.name}`);
    const { proxy, facts, problems } = this.#proxyOf(plan, { ip, dir });
    this.#notes = [...this.#notes, ...problems];
    const identity: PodIdentity = {
      plan,
      uid: randomUUID(),
      node: NODE,
      nodeIp: this.#parts.sandbox.address,
      ips: [ip],
      createdAt: new Date().toISOString(),
      annotations: { ...meshAnnotations(this.#namespace(plan)), ...plan.template.annotations },
      ...(facts === undefined ? {} : { proxy: facts }),
    };
    const pod = new Pod(identity, this.#worldOf(identity, { dir, proxy, resolvConf: resolvConfFile }));
    this.#pods.set(pod.key, pod);
    if (proxy !== undefined) await this.#writeToken(pod);
    return pod;
  }

  #worldOf(identity: PodIdentity, more: Pick<PodWorld, "dir" | "proxy" | "resolvConf">): PodWorld {
    const { paths, environment } = this.#options;
    const { sandbox, janitor, attendant } = this.#parts;
    const { plan } = identity;
    const base = Object.fromEntries(
      INHERITED.flatMap((name) => {
        const value = environment[name];
        return value === undefined ? [] : [[name, value]];
      }),
    );
    const file = plan.file === "" ? join(paths.dir, "system") : plan.file;
    return {
      ...more,
      sandbox,
      janitor,
      objects: paths.objects,
      processOf: (container) =>
        processOf(container, podFacts(identity), {
          base,
          file,
          lookup: (kind, name) => this.#wanted.data.values(kind, plan.namespace, name),
        }),
      probe: (probe, host) => attendant.probe(probe, host),
      onChange: () => void this.#refresh(),
      say: this.#options.say,
    };
  }

  #namespace(plan: PodPlan): Readonly<Record<string, string>> {
    return this.#wanted.namespaceAnnotations.get(plan.namespace) ?? {};
  }

  #proxyOf(
    plan: PodPlan,
    { ip, dir }: { readonly ip: string; readonly dir: string },
  ): {
    readonly proxy: PodProxy | undefined;
    readonly facts?: ProxyFacts;
    readonly problems: readonly Problem[];
  } {
    const namespaceAnnotations = this.#namespace(plan);
    const { annotations } = plan.template;
    const problem = ({
      annotation,
      message,
    }: {
      readonly annotation: string;
      readonly message: string;
    }): Problem => ({
      severity: "warning",
      file: plan.file,
      line: 0,
      object: `${plan.owner.kind} ${plan.namespace}/${plan.owner.name}`,
      field: `metadata.annotations["${annotation}"]`,
      message,
    });
    const wish = injection(annotations, namespaceAnnotations);
    if (typeof wish === "object") return { proxy: undefined, problems: [problem(wish)] };
    if (wish === "disabled") return { proxy: undefined, problems: [] };
    const isControlPlane = plan.namespace === CONTROL_PLANE_NAMESPACE && plan.file === "";
    const made = sidecar(
      {
        namespace: plan.namespace,
        name: plan.name,
        node: NODE,
        serviceAccount: plan.template.serviceAccount,
        ips: [ip],
        ports: plan.template.containers.flatMap(({ ports }) =>
          ports.filter(({ protocol }) => protocol === "TCP").map(({ port }) => port),
        ),
        annotations,
        namespaceAnnotations,
      },
      this.#sidecarConfig(dir, isControlPlane),
    );
    const { environment, init, adminPort, inboundPort, identity } = made.sidecar;
    const { proxy: binary } = this.#options.binaries;
    const bundle = this.#parts.authority.trustAnchorsPem;
    return {
      proxy: {
        binary,
        // A proxy that starts anew trusts what is trusted then.
        environment: () => ({ ...environment, [TRUST_ANCHORS]: bundle() }),
        init,
        adminPort,
        first: !isControlPlane,
      },
      facts: {
        controlPlaneNamespace: CONTROL_PLANE_NAMESPACE,
        version: this.#options.version,
        trustRootSha256: trustRootSha256(bundle()),
        inboundPort,
        adminPort,
        identity,
      },
      problems: [...made.problems, ...made.sidecar.references.map(needsCluster)].map(problem),
    };
  }

  #sidecarConfig(dir: string, isControlPlane: boolean): SidecarConfig {
    // The control plane's own proxy reaches it over loopback, which needs no identity.
    const host = isControlPlane ? "127.0.0.1" : (this.controlPlane?.identity.ips[0] ?? "");
    const name = controlPlaneIdentity(TRUST_DOMAIN);
    return {
      clusterDomain: CLUSTER_DOMAIN,
      trustDomain: TRUST_DOMAIN,
      trustAnchorsPem: this.#parts.authority.trustAnchorsPem(),
      clusterNetworks: CLUSTER_NETWORKS,
      defaultInboundPolicy: "all-unauthenticated",
      identity: { addr: `${host}:${CONTROL_PLANE_PORTS.identity}`, name },
      destination: { addr: `${host}:${CONTROL_PLANE_PORTS.destination}`, name },
      policy: { addr: `${host}:${CONTROL_PLANE_PORTS.policy}`, name },
      identityDir: join(dir, "identity"),
      tokenFile: join(dir, "token"),
      logLevel: this.#options.logLevel,
      logFormat: "plain",
      tap: tapIdentity(TRUST_DOMAIN),
      exempt: { type: "mark", mark: PROXY_MARK },
      environment: this.#options.proxyEnvironment,
    };
  }

  async #writeToken(pod: Pod): Promise<void> {
    const { plan, uid } = pod.identity;
    const dir = join(this.#options.paths.pods, `${plan.namespace}_${plan.name}`);
    await mkdir(join(dir, "identity"), { recursive: true, mode: 0o700 });
    const { namespace, name, template } = plan;
    const bound = { namespace, name, uid, serviceAccount: template.serviceAccount };
    await writeToken(this.#parts.authority, bound, join(dir, "token"));
  }

  async #renewTokens(): Promise<void> {
    for (;;) {
      await sleep(TOKEN_RENEW_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      if (this.#stop.signal.aborted) return;
      const meshed = this.pods.filter(({ identity }) => identity.proxy !== undefined);
      await Promise.all(meshed.map((pod) => this.#writeToken(pod)));
    }
  }

  /** Tells names and cluster addresses to those who answer for them. Changes meanwhile are told once, afterwards. */
  #refresh(): Promise<void> {
    this.#refreshAgain = true;
    this.#refreshing ??= this.#refreshLoop();
    return this.#refreshing;
  }

  async #refreshLoop(): Promise<void> {
    try {
      while (this.#refreshAgain && !this.#stop.signal.aborted) {
        this.#refreshAgain = false;
        await this.#refreshOnce();
      }
    } catch (error) {
      this.#options.say(`services: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      this.#refreshing = undefined;
    }
  }

  async #refreshOnce(): Promise<void> {
    const backends = this.pods.map(backendOf);
    const { services } = this.#wanted;
    const { sandbox, attendant } = this.#parts;
    await attendant.setZone(zone(services, backends, CLUSTER_DOMAIN));
    const wanted = new Map(listeners(services, backends).map((one) => [one.name, one]));
    for (const [name, listener] of wanted) {
      const text = JSON.stringify(listener);
      if (this.#listening.get(name) === text) continue;
      await sandbox.setService(listener);
      this.#listening.set(name, text);
    }
    for (const name of this.#listening.keys()) {
      if (wanted.has(name)) continue;
      await sandbox.removeService(name);
      this.#listening.delete(name);
    }
  }
}

/** Pods of the mesh itself stand in no file. */
/** A variable whose value Kubernetes would have to supply. */
function needsCluster({ name }: { readonly name: string }): {
  readonly annotation: string;
  readonly message: string;
} {
  return {
    annotation: "config.linkerd.io/proxy-additional-env",
    message: `${name}: valueFrom is for clusters; give it a value`,
  };
}

function isSystem({ identity: { plan } }: Pod): boolean {
  return plan.file === "";
}

/** Annotations of a namespace that its pods inherit when they are injected. */
function meshAnnotations(annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(annotations).filter(([name]) => /^config\.(linkerd|hauberk)\.io\//.test(name)),
  );
}

function podFacts(identity: PodIdentity): Parameters<typeof processOf>[1] {
  const { plan, uid, annotations, node, nodeIp, ips } = identity;
  const { namespace, name, template } = plan;
  const labels = podLabels(identity);
  return {
    namespace,
    name,
    uid,
    labels,
    annotations,
    serviceAccount: template.serviceAccount,
    node,
    nodeIp,
    ips,
  };
}

function backendOf(pod: Pod): Backend {
  const { plan, ips } = pod.identity;
  const state = pod.state;
  return {
    namespace: plan.namespace,
    name: plan.name,
    labels: podLabels(pod.identity),
    ip: ips[0] ?? "",
    ready: state.ready && state.deletedAt === undefined,
    ports: plan.template.containers.flatMap(({ ports }) => ports),
  };
}
