// Ends when every URL answers 200: an init container for those who cannot start before others.
//
//   node wait.ts URL...
import { setTimeout as sleep } from "node:timers/promises";
import { get } from "./clients.ts";

const PAUSE_MS = 250;
const TIMEOUT_MS = 3_000;

for (const url of process.argv.slice(2)) {
  let outcome = "";
  while (outcome !== "200") {
    outcome = await get(url, { timeoutMs: TIMEOUT_MS })
      .then(({ status }) => String(status))
      .catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    if (outcome === "200") continue;
    console.log(`${url}: ${outcome}`);
    await sleep(PAUSE_MS);
  }
}
