/**
 * Keeps a webhook's certificate: reads its Secret, does what {@link decide} says, and writes the bundle into the webhook
 * configurations. Every replica runs it; writes are made only upon what was read, so that of two the second looks again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { KEY, carries, decide, mint, type Found, type Material, type WriteReason } from "./certificate.ts";

/** How often the Secret and the configurations are looked at: two or three small reads. */
export const LOOK_MS = 10_000;
/** Most tries of one look: each lost race means that another replica has written. */
export const RACES_MAX = 5;

/** A Secret and the version that it was read at. */
export interface FoundSecret {
  readonly found: Found;
  readonly version: string | undefined;
}

/** A webhook configuration: who else may be keeping it, and what it trusts. */
export interface FoundConfiguration {
  readonly name: string;
  readonly version: string;
  /** Whether another controller, such as cert-manager's injector, fills in the bundle. */
  readonly isKeptElsewhere: boolean;
  /** The `caBundle` of each webhook, as PEM; empty where there is none. */
  readonly bundles: readonly string[];
}

/** Where Secret and configurations lie. A write answers false when what was read is no longer there. */
export interface CertificateStore {
  secret(signal: AbortSignal): Promise<FoundSecret>;
  writeSecret(
    text: Readonly<Record<string, string>>,
    version: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean>;
  configurations(signal: AbortSignal): Promise<readonly FoundConfiguration[]>;
  writeBundle(configuration: FoundConfiguration, bundle: string, signal: AbortSignal): Promise<boolean>;
}

/** What a keeper reports. */
export type KeeperEvent =
  | { readonly type: "serving"; readonly material: Material }
  | { readonly type: "written"; readonly reason: WriteReason }
  | { readonly type: "bundled"; readonly configuration: string }
  | { readonly type: "waiting"; readonly why: string }
  | { readonly type: "failed"; readonly error: unknown };

export interface KeeperOptions {
  readonly store: CertificateStore;
  /** DNS names of the webhook's Service. */
  readonly names: readonly string[];
  readonly nowMs: () => number;
  /** Is told of every change once, and of every failure. */
  readonly heard: (event: KeeperEvent) => void;
}

/** The names under which API servers call `service`. */
export function serviceNames(service: string, namespace: string): readonly string[] {
  return [`${service}.${namespace}.svc`];
}

/** Looks once. Answers with what is to be served, if anything can be. */
export async function look(options: KeeperOptions, signal: AbortSignal): Promise<Material | undefined> {
  const { store, names, heard } = options;
  for (let race = 0; race < RACES_MAX; race += 1) {
    const { found, version } = await store.secret(signal);
    const configurations = (await store.configurations(signal)).filter((one) => !one.isKeptElsewhere);
    const bundle = found.type === "absent" ? undefined : found.text[KEY.bundle];
    const nowMs = options.nowMs();
    const decision = decide(found, {
      nowMs,
      names,
      bundleStands: bundle !== undefined && configurations.every((one) => stands(one, bundle)),
      mint: () => mint(names, nowMs),
    });
    switch (decision.type) {
      case "wait":
        heard({ type: "waiting", why: decision.why });
        return undefined;
      case "write":
        if (await store.writeSecret(decision.text, version, signal)) {
          heard({ type: "written", reason: decision.reason });
        }
        continue;
      case "serve":
        await fill(configurations, { bundle: decision.material.bundle, options, signal });
        return decision.material;
    }
  }
  throw new Error(`the Secret changed ${RACES_MAX} times while it was looked at`);
}

/** Looks every {@link LOOK_MS} until `signal`. A failure is reported and what was served stays. */
export async function keepCertificate(options: KeeperOptions, signal: AbortSignal): Promise<void> {
  let served: string | undefined;
  let said: string | undefined;
  const heard = (event: KeeperEvent): void => {
    // A Secret that cannot be used stays so until somebody acts: once is enough.
    if (event.type === "waiting" && event.why === said) return;
    said = event.type === "waiting" ? event.why : undefined;
    options.heard(event);
  };
  while (!signal.aborted) {
    try {
      const material = await look({ ...options, heard }, signal);
      if (material !== undefined && material.certificates !== served) {
        served = material.certificates;
        heard({ type: "serving", material });
      }
    } catch (error) {
      if (!signal.aborted) heard({ type: "failed", error });
    }
    // Not all replicas at once.
    await sleep(LOOK_MS * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
  }
}

async function fill(
  configurations: readonly FoundConfiguration[],
  at: { readonly bundle: string | undefined; readonly options: KeeperOptions; readonly signal: AbortSignal },
): Promise<void> {
  const { bundle, options, signal } = at;
  if (bundle === undefined) return;
  for (const configuration of configurations) {
    if (configuration.bundles.every((one) => one.trim() === bundle.trim())) continue;
    if (await options.store.writeBundle(configuration, bundle, signal)) {
      options.heard({ type: "bundled", configuration: configuration.name });
    }
  }
}

function stands(configuration: FoundConfiguration, bundle: string): boolean {
  return configuration.bundles.every((one) => carries(one, bundle));
}
