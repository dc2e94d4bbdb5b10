/** Logs: one JSON object a line, a constant message and named fields. */

type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

type Level = "error" | "warn" | "info" | "debug";

export type Log = (level: Level, message: string, fields?: Fields) => void;

/** A log that writes to `stream`. */
export function jsonLog(stream: NodeJS.WritableStream): Log {
  return (level, message, fields = {}) => {
    stream.write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`);
  };
}
