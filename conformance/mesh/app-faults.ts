/** Ways in which the application can fail: by count, by replica, slowly. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { AppPort } from "./ports.ts";

/** How often each id has failed. */
const failed = new Map<string, number>();

interface World {
  readonly replica: string;
  readonly note: (event: string) => void;
}

/** What the proxies say of this attempt. */
function saidOf({ headers }: IncomingMessage): string {
  return `attempt=${String(headers["hauberk-attempt"] ?? 1)} left=${String(headers["hauberk-timeout"] ?? "")}`;
}

/** Asks another service, and hands on what the proxies said, as applications do with the fields of tracing. */
async function statusOf(service: string, path: string, { headers }: IncomingMessage): Promise<number> {
  const said = Object.entries(headers).flatMap(([name, value]) =>
    name.startsWith("hauberk-") && typeof value === "string" ? [[name, value] as const] : [],
  );
  const url = `http://${service}.shop.svc.cluster.local:${AppPort.http}/${path}`;
  const answer = await fetch(url, { headers: Object.fromEntries(said) });
  await answer.text();
  return answer.status;
}

/**
 * Answers `/fail/ID/COUNT/STATUS?RETRY-AFTER` (so often, then 200), `/as/REPLICA/STATUS` and `/lag/REPLICA/MS` (only
 * there), and `/via/SERVICE/PATH` as that service of the namespace does; false: it is none of these.
 */
export async function fail(
  request: IncomingMessage,
  response: ServerResponse,
  { replica, note }: World,
): Promise<boolean> {
  const [path = "", after] = (request.url ?? "").split("?", 2);
  const [, what = "", which = "", amount = "", status = ""] = path.split("/");
  if (what === "via") {
    response.writeHead(await statusOf(which, path.split("/").slice(3).join("/"), request)).end();
    return true;
  }
  if (!["fail", "as", "lag"].includes(what)) return false;
  const body = await text(request);
  note(`${request.method ?? ""} ${path} ${saidOf(request)} body=${body}`);
  const answer = (code: number): void => {
    response.writeHead(code, after === undefined ? {} : { "retry-after": after });
    response.end(JSON.stringify({ replica, body }));
  };
  switch (what) {
    case "fail": {
      const times = (failed.get(which) ?? 0) + 1;
      failed.set(which, times);
      answer(times <= Number(amount) ? Number(status) : 200);
      break;
    }
    case "as":
      answer(which === replica ? Number(amount) : 200);
      break;
    default:
      if (which === replica) await sleep(Number(amount));
      answer(200);
  }
  return true;
}
