/**
 * Which builds of the proxy get certificates: those whose image the verified release approves. What a pod runs is the
 * kubelet's word in the pod's status, which nobody who may only create pods can write. Pure.
 */

/** What `hauberk upgrade` and `hauberk verify` approved; looked at only if certificates are for approved builds alone. */
export const APPROVED_PROXIES = { name: "hauberk-approved-proxies", key: "digests" } as const;

/** Containers that are the proxy, as injection names them. */
const PROXY = "linkerd-proxy";

/** A container as the pod's status tells of it. */
export interface RunningContainer {
  readonly name: string;
  /** Image reference by digest, or the bare digest, as the runtime resolved it; empty while it is not known. */
  readonly imageId: string;
}

/** Whether the pod's proxy is a build that is approved. */
export type Approval =
  | { readonly type: "approved" }
  /** The kubelet has not told yet: ask again. */
  | { readonly type: "unknown" }
  | { readonly type: "refused"; readonly image: string };

/** The digests in a list with one per line; what follows a digest is for people, and so are lines that begin with `#`. */
export function readApproved(text: string): ReadonlySet<string> {
  const digests = text.split("\n").flatMap((line) => /^\s*(sha256:[0-9a-f]{64})(\s|$)/.exec(line)?.[1] ?? []);
  return new Set(digests);
}

/** Judges the proxy of a pod. A pod without one has no business asking. */
export function judgeProxy(containers: readonly RunningContainer[], approved: ReadonlySet<string>): Approval {
  const proxy = containers.find(({ name }) => name === PROXY);
  if (proxy === undefined || proxy.imageId === "") return { type: "unknown" };
  const digest = /sha256:[0-9a-f]{64}$/.exec(proxy.imageId)?.[0];
  if (digest !== undefined && approved.has(digest)) return { type: "approved" };
  return { type: "refused", image: proxy.imageId };
}
