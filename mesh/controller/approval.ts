/**
 * The FIPS profile in a process of the control plane: what it says of its module, and what becomes of a process from which
 * approved mode is asked and that cannot show it: it answers its admin address, and nothing else.
 */
import { recordedModule } from "@hauberk/fips-profile/loaded.ts";
import { probeNode, whyNotApproved } from "@hauberk/fips-profile/probe.ts";
import type { Page } from "./admin.ts";
import { renderMetrics, type Family } from "./metrics.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether approved mode is asked for, and shown. */
export type Approval =
  | { readonly type: "not-asked" }
  | { readonly type: "approved"; readonly module: string; readonly version: string }
  | { readonly type: "refused"; readonly why: string };

/** Shows approved mode if `HAUBERK_FIPS` asks for it. */
export function approvalOf(environment: Environment): Approval {
  if ((environment["HAUBERK_FIPS"] ?? "") === "") return { type: "not-asked" };
  const why = whyNotApproved(probeNode());
  if (why !== undefined) return { type: "refused", why };
  const record = recordedModule(environment["OPENSSL_MODULES"] ?? "");
  if (record === undefined)
    return { type: "refused", why: "no record says which module this is, or it is of another file" };
  return { type: "approved", module: record.module, version: record.version };
}

/** The module, as every role counts it. */
export function moduleFamily(approval: Approval): Family {
  const module =
    approval.type === "approved"
      ? { module: approval.module, version: approval.version, approved: "true" }
      : { module: "OpenSSL", version: process.versions.openssl, approved: "false" };
  return {
    name: "hauberk_crypto_module_info",
    type: "gauge",
    help: "The cryptographic module, and whether it has shown itself to be in approved mode.",
    series: [{ labels: module, value: 1 }],
  };
}

/** What a process answers that serves nothing. */
export function withheldPages(why: string): ReadonlyMap<string, Page> {
  const live = text(200, "live\n");
  return new Map([
    ["/live", live],
    ["/ping", live],
    ["/ready", text(503, `not ready: ${why}\n`)],
    ["/metrics", text(200, "")],
  ]);
}

/** Pages whose metrics also say which module this is; none of them is ready where approved mode was asked for and not shown. */
export function pageOf(pages: ReadonlyMap<string, Page>, path: string, approval: Approval): Page | undefined {
  const page = pages.get(path);
  if (approval.type === "refused" && path === "/ready") return withheldPages(approval.why).get(path);
  if (page === undefined || path !== "/metrics") return page;
  const render = (): ReturnType<Page["render"]> => {
    const { status, body } = page.render();
    return { status, body: `${body}${renderMetrics([moduleFamily(approval)])}` };
  };
  return { ...page, render };
}

function text(status: number, body: string): Page {
  return { contentType: "text/plain", render: () => ({ status, body }) };
}
