/** Sets of ports as annotations write them: `25,587,4000-4010`. */

interface PortRange {
  readonly first: number;
  readonly last: number;
}

export type PortSet = readonly PortRange[];

/** Ports whose protocol the server speaks first in, or that is no HTTP; opaque unless an annotation says otherwise. */
export const OPAQUE_PORTS_DEFAULT = "25,587,3306,4444,5432,6379,9300,11211";

/** Ports that init leaves alone in both directions. */
export const SKIP_PORTS_DEFAULT = "4567,4568";

export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}

/** Parses a list; entries that are no port, range or one of `named` come back in `bad` and are left out. */
export function parsePorts(
  text: string,
  named: ReadonlyMap<string, number> = new Map(),
): { readonly ports: PortSet; readonly bad: readonly string[] } {
  const ports: PortRange[] = [];
  const bad: string[] = [];
  for (const entry of text.split(",").map((part) => part.trim())) {
    if (entry === "") continue;
    const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(entry) ?? [];
    const number = first === undefined ? named.get(entry) : Number(first);
    const end = last === undefined ? number : Number(last);
    if (number === undefined || end === undefined || !isPort(number) || !isPort(end) || end < number)
      bad.push(entry);
    else ports.push({ first: number, last: end });
  }
  return { ports, bad };
}

export function hasPort(ports: PortSet, port: number): boolean {
  return ports.some(({ first, last }) => first <= port && port <= last);
}
