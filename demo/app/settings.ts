import { z } from "zod";

const Port = z.coerce.number().int().min(1).max(65_535);

/** The port this service listens on: `PORT`. */
export function listenPort(): number {
  return Port.parse(process.env["PORT"]);
}

/** A setting that has to be there. */
export function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`${name} is not set`);
  return value;
}

/** Calls `stop` once at SIGTERM or SIGINT. */
export function onStop(stop: () => void): void {
  let stopped = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stopped) return;
      stopped = true;
      stop();
    });
  }
}
