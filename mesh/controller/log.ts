/** Logs: one line for each event, a constant message and named fields. */
import { z } from "zod";
import { ConfigError } from "./config.ts";

type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

const LEVELS = ["error", "warn", "info", "debug"] as const;
type Level = (typeof LEVELS)[number];

export type Log = (level: Level, message: string, fields?: Fields) => void;

/** How much is said, and in which form. */
export interface LogSettings {
  readonly level: Level;
  readonly format: "plain" | "json";
}

const Settings = z.object({
  // Linkerd has one level more than there is here.
  level: z.enum([...LEVELS, "trace"]).default("debug"),
  format: z.enum(["plain", "json"]).default("json"),
});

/** `HAUBERK_LOG_LEVEL` and `HAUBERK_LOG_FORMAT`. @throws {ConfigError} if they are none. */
export function logSettings(environment: Readonly<Record<string, string | undefined>>): LogSettings {
  const parsed = Settings.safeParse({
    level: environment["HAUBERK_LOG_LEVEL"],
    format: environment["HAUBERK_LOG_FORMAT"],
  });
  if (!parsed.success)
    throw new ConfigError(
      parsed.error.issues
        .map(({ path, message }) => `HAUBERK_LOG_${path.join(".").toUpperCase()}: ${message}`)
        .join("; "),
    );
  const { level, format } = parsed.data;
  return { level: level === "trace" ? "debug" : level, format };
}

/** A log that writes to `stream`. */
export function logTo(stream: NodeJS.WritableStream, { level: most, format }: LogSettings): Log {
  return (level, message, fields = {}) => {
    if (LEVELS.indexOf(level) > LEVELS.indexOf(most)) return;
    const time = new Date().toISOString();
    const line =
      format === "json"
        ? JSON.stringify({ time, level, message, ...fields })
        : plainLine({ time, level, message }, fields);
    stream.write(`${line}\n`);
  };
}

/** Everything, as JSON. */
export function jsonLog(stream: NodeJS.WritableStream): Log {
  return logTo(stream, { level: "debug", format: "json" });
}

function plainLine(
  { time, level, message }: Readonly<Record<"time" | "level" | "message", string>>,
  fields: Fields,
): string {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${typeof value === "string" ? JSON.stringify(value) : String(value)}`);
  return `${time} ${level.toUpperCase()} ${message}${pairs.join("")}`;
}
