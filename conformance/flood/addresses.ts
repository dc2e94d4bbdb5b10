/** Further addresses of a pod, so that what is bounded by address is met by clients of many. */
import { execFile } from "node:child_process";
import { readdirSync, readlinkSync } from "node:fs";
import { promisify } from "node:util";
import type { Place } from "../pair/pair.ts";

const COMMAND_MS_MAX = 10_000;
/** Of the cable in every pod of standalone mode. */
const LINK = "eth0";
/** The third octet of addresses that no pod has. */
const OCTET = 200;

function isIn(entry: string, net: string): boolean {
  try {
    return /^\d+$/.test(entry) && readlinkSync(`/proc/${entry}/ns/net`) === net;
  } catch {
    // It ended while we looked.
    return false;
  }
}

/** Gives the pod with address `ip` as many more, which its neighbours reach like the first. */
export async function addAddresses(pod: Place, ip: string, count: number): Promise<readonly string[]> {
  const { stdout } = await pod.run("readlink", ["/proc/self/ns/net"], COMMAND_MS_MAX);
  const pid = readdirSync("/proc").find((entry) => isIn(entry, stdout.trim()));
  if (pid === undefined) throw new Error(`no process runs in the pod of ${ip}`);
  const [one, two] = ip.split(".");
  const addresses = Array.from({ length: count }, (_, nth) => `${one}.${two}.${OCTET}.${nth + 1}`);
  for (const address of addresses) {
    const words = [`--net=/proc/${pid}/ns/net`, "ip", "address", "add", `${address}/32`, "dev", LINK];
    await promisify(execFile)("nsenter", words, { timeout: COMMAND_MS_MAX });
  }
  return addresses;
}
