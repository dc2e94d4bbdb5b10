import { success } from "../promise.ts";
import type { CallResult, Stage } from "../stage.ts";
import type { PodStatus } from "@hauberk/mesh/standalone/control-protocol.ts";

/** A change of a manifest is obeyed everywhere long before this, unless the machine has no processor to spare. */
const OBEY_MS_MAX = 10_000;
const MEASURE_MS = 5_000;

/** A door of the application, and the word for a client that may not come in. */
const DOORS = [
  {
    protocol: "http",
    target: "http://payments.prod.svc.cluster.local:8080/payments/p-1",
    open: "200",
    shut: "403",
  },
  { protocol: "grpc", target: "risk.prod.svc.cluster.local:9000", open: "OK", shut: "PERMISSION_DENIED" },
  { protocol: "ledger", target: "ledger.prod.svc.cluster.local:7070", open: "answered", shut: "refused" },
] as const;

async function knock(stage: Stage, from: PodStatus): Promise<readonly CallResult[]> {
  return Promise.all(DOORS.map(({ protocol, target }) => stage.call(from, protocol, target)));
}

function outcomes(results: readonly CallResult[]): string {
  return results.map(({ outcome }) => outcome).join(", ");
}

function isShut(results: readonly CallResult[]): boolean {
  return results.every(({ outcome }, at) => outcome === DOORS[at]?.shut);
}

/** S0-12: the object as it stands in the requirements, with its Server and AuthorizationPolicy. */
export async function lockdown(stage: Stage): Promise<void> {
  stage.screen.say("\nPayments, risk and ledger are locked to one caller: web.frontend.");
  const intruder = await stage.pod("frontend", "intruder");
  const plain = await stage.pod("outside", "plain");
  const before = await Promise.all([knock(stage, intruder), knock(stage, plain)]);
  stage.promise(
    "before, everybody is let in",
    before.every((results) => results.every(({ outcome }, at) => outcome === DOORS[at]?.open)),
    `meshed: ${outcomes(before[0])}; plain: ${outcomes(before[1])}`,
  );
  await stage.apply("lockdown.yaml");
  let [meshed, unmeshed] = before;
  await stage.until(async () => {
    [meshed, unmeshed] = await Promise.all([knock(stage, intruder), knock(stage, plain)]);
    return isShut(meshed) && isShut(unmeshed);
  }, OBEY_MS_MAX);
  stage.promise("another meshed client is refused", isShut(meshed), outcomes(meshed));
  stage.promise("a plain client is refused", isShut(unmeshed), outcomes(unmeshed));
  const load = await stage.measure(MEASURE_MS);
  stage.promise("web.frontend passes", load.failed === 0 && load.ok > 0, success(load));
}
