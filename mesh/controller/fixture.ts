/** For tests: manifests → what the roles answer from them. */
import { endpointAt } from "../destination/profile.ts";
import { parseIp } from "../model/address.ts";
import { parseAuthority } from "../model/authority.ts";
import type { MeshSettings } from "../model/settings.ts";
import { inboundPolicy } from "../policy/inbound.ts";
import { outboundPolicy } from "../policy/outbound.ts";
import { accept, NOTHING_ACCEPTED } from "../source/manifests/accept.ts";
import { complete } from "../source/manifests/complete.ts";
import { parseYaml } from "../source/manifests/parse.ts";
import { applyAll, emptySnapshot, relistAll, type Snapshot } from "../state/snapshot.ts";
import { parseConfig } from "./config.ts";

const ipOf = (text: string) => {
  const ip = parseIp(text);
  if (ip === undefined) throw new Error(`${text} is no address`);
  return ip;
};

/** Objects and problems of manifests, and the answers to proxies. */
export function worldOf(texts: readonly string[], args: readonly string[] = []) {
  const settings: MeshSettings = parseConfig(["--manifests", "/m", ...args], {}).settings;
  const parsed = parseYaml("/m/world.yaml", texts.join("\n---\n"));
  const { documents, problems } = parsed;
  const completed = complete(accept(NOTHING_ACCEPTED, { documents, problems, broken: new Set() }));
  const snapshot: Snapshot = applyAll(emptySnapshot(), relistAll(completed.objects));
  const context = { snapshot, settings, clientZone: undefined };
  return {
    objects: completed.objects,
    snapshot,
    settings,
    context,
    problems: completed.problems,
    inbound: (pod: string, port: number) => {
      const [namespace = "", name = ""] = pod.split("/");
      return inboundPolicy({ workload: { of: "Pod", namespace, name }, port }, context);
    },
    outbound: (target: string, sourceNamespace = "web") => {
      const authority = parseAuthority(target, settings.clusterDomain);
      if (authority === undefined) throw new Error(`${target} is no target`);
      return outboundPolicy(
        { target: authority, sourceNamespace },
        { snapshot, settings, endpointAt: (ip, port) => endpointAt(ip, port, context) },
      );
    },
    endpoint: (ip: string, port: number) => endpointAt(ipOf(ip), port, context),
  };
}
