import type { Answer, DecodedPacket, Packet } from "dns-packet";
import { AUTHORITATIVE_ANSWER, RECURSION_AVAILABLE, RECURSION_DESIRED } from "dns-packet";
import type { NameRecords, Zone } from "./services.ts";

/** Resolvers keep an answer this long; pods come and go. */
const TTL_S = 5;
const NXDOMAIN = 3;
const NOT_IMPLEMENTED = 4;

/** The answer to one query. Names outside the zone do not exist, and that is said at once. */
export function answer(query: DecodedPacket, zone: Zone): Packet {
  const question = query.questions?.[0];
  const flags = RECURSION_AVAILABLE | AUTHORITATIVE_ANSWER | ((query.flags ?? 0) & RECURSION_DESIRED);
  const head = { id: query.id ?? 0, type: "response", questions: query.questions ?? [] } as const;
  if (question === undefined || query.questions?.length !== 1)
    return { ...head, flags: flags | NOT_IMPLEMENTED };
  const name = question.name.toLowerCase().replace(/\.$/, "");
  const records = Object.hasOwn(zone.names, name) ? zone.names[name] : undefined;
  if (records === undefined) return { ...head, flags: flags | (isParent(name, zone) ? 0 : NXDOMAIN) };
  return { ...head, flags, answers: answers(question, records, zone) };
}

/** A name that exists only because others end in it has no records, but it does exist (RFC 8020). */
function isParent(name: string, zone: Zone): boolean {
  return name === zone.domain || Object.keys(zone.names).some((other) => other.endsWith(`.${name}`));
}

function answers(
  { name, type }: { readonly name: string; readonly type: string },
  records: NameRecords,
  zone: Zone,
): Answer[] {
  if (records.cname !== undefined) {
    const target = Object.hasOwn(zone.names, records.cname) ? zone.names[records.cname] : undefined;
    const more = target === undefined ? [] : addresses(records.cname, type, target);
    return [{ type: "CNAME", name, ttl: TTL_S, data: records.cname }, ...more];
  }
  if (type === "SRV") {
    return records.srv.map(({ target, port }) => ({
      ...({ type: "SRV", name, ttl: TTL_S } as const),
      data: { target, port, priority: 0, weight: 100 },
    }));
  }
  return addresses(name, type, records);
}

function addresses(name: string, type: string, records: NameRecords): Answer[] {
  if (type !== "A" && type !== "ANY") return [];
  return records.a.map((data) => ({ type: "A", name, ttl: TTL_S, data }));
}

/** `/etc/resolv.conf` of a pod. */
export function resolvConf(namespace: string, domain: string, server: string): string {
  return `nameserver ${server}\nsearch ${namespace}.svc.${domain} svc.${domain} ${domain}\noptions ndots:5 timeout:2 attempts:2\n`;
}
