import { askSocket } from "@hauberk/mesh/standalone/control-client.ts";
import type { StatePaths } from "@hauberk/mesh/standalone/state.ts";
import { Report } from "@hauberk/viz/report.ts";

const ANSWER_MS_MAX = 5_000;

/** What viz knows of the last `windowMs`. */
export function readReport(paths: StatePaths, windowMs: number): Promise<Report> {
  const path = `/report?window=${windowMs}`;
  return askSocket(paths.vizSocket, { method: "GET", path, timeoutMs: ANSWER_MS_MAX }, Report);
}
