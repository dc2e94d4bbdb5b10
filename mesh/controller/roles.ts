/** The roles of a cluster's control plane, each started from its flags. */
import type { RoleName } from "./access.ts";
import { parseConfig } from "./config.ts";
import { startController } from "./controller.ts";
import { startIdentityRole } from "./identity_role.ts";
import { startInjector } from "./injector.ts";
import { kubeRate } from "./kube_rate.ts";
import type { Log } from "./log.ts";

/** A role that runs. */
export interface Running {
  /** Resolves when it has ended; rejects when it failed. */
  readonly done: Promise<void>;
  /** Ends every stream within `spreadMs`, then everything else. */
  close(spreadMs?: number): Promise<void>;
}

/** What every role is given. */
export interface RoleContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  /** Aborted to give up a start that is under way. */
  readonly stop: AbortController;
}

type Start = (args: readonly string[], context: RoleContext) => Promise<Running>;

/** How each role starts. */
export const STARTS: Readonly<Record<RoleName, Start>> = {
  destination: (args, { environment, log, stop }) =>
    startController(parseConfig(args, environment, "role"), log, { stop, rate: kubeRate(environment) }),
  identity: startIdentityRole,
  "proxy-injector": startInjector,
};
