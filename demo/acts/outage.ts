import { success } from "../promise.ts";
import type { Stage } from "../stage.ts";

const OUTAGE_MS = 60_000;
const RECOVER_MS_MAX = 30_000;

/** The whole control plane is gone for a minute. */
export async function outage(stage: Stage): Promise<void> {
  const ms = OUTAGE_MS / stage.haste;
  stage.screen.say(`\nThe whole control plane is killed for ${Math.round(ms / 1_000)} s.`);
  const fromMs = Date.now();
  await stage.client.controlPlane({ act: "halt" });
  try {
    await stage.pause(ms / 2);
    const [web, intruder] = [await stage.pod("frontend", "web"), await stage.pod("frontend", "intruder")];
    const calls = await Promise.all([
      stage.call(web, "http", "http://archive.prod.svc.cluster.local:8080/payments/p-2"),
      stage.call(intruder, "http", "http://web.frontend.svc.cluster.local/risk?id=p-2"),
    ]);
    stage.promise(
      "first requests to known, idle destinations meanwhile",
      calls.every(({ outcome }) => outcome === "200"),
      calls.map(({ outcome, detail }) => (outcome === "200" ? outcome : `${outcome} ${detail}`)).join(", "),
    );
    await stage.pause(Math.max(0, fromMs + ms - Date.now()));
  } finally {
    await stage.client.controlPlane({ act: "resume" });
  }
  const load = await stage.seen({ fromMs, toMs: Date.now() });
  stage.promise(
    `the control plane gone for ${Math.round(ms / 1_000)} s`,
    load.failed === 0 && load.ok > 0 && load.priceDisconnects === 0,
    `${success(load)}, ${load.priceDisconnects} streams cut`,
  );
  const back = await stage.until(async () => {
    const [{ settled }, { proxies }] = [await stage.client.status(), await stage.report()];
    return settled && proxies.every(({ connected }) => connected !== false);
  }, RECOVER_MS_MAX);
  stage.promise(
    "proxies find it again",
    back,
    back ? "all connected" : `not all after ${RECOVER_MS_MAX / 1_000} s`,
  );
}
