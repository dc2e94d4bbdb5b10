import { AuditExportCommand, AuditShowCommand, AuditVerifyCommand } from "./command/audit.ts";
import { CheckCommand } from "./command/check.ts";
import { CompletionCommand } from "./command/completion.ts";
import { DownCommand } from "./command/down.ts";
import { EdgesCommand } from "./command/edges.ts";
import { ExplainCommand } from "./command/explain.ts";
import { IdentityCommand } from "./command/identity.ts";
import { InstallCommand } from "./command/install.ts";
import { StatCommand } from "./command/stat.ts";
import { TapCommand } from "./command/tap.ts";
import { UpCommand } from "./command/up.ts";
import { VersionCommand } from "./command/version.ts";

/** Every command by its name. What a command needs to do its work, it loads when it runs. */
export const COMMANDS = {
  "audit:export": AuditExportCommand,
  "audit:show": AuditShowCommand,
  "audit:verify": AuditVerifyCommand,
  check: CheckCommand,
  completion: CompletionCommand,
  down: DownCommand,
  edges: EdgesCommand,
  explain: ExplainCommand,
  identity: IdentityCommand,
  install: InstallCommand,
  stat: StatCommand,
  up: UpCommand,
  version: VersionCommand,
  "viz:tap": TapCommand,
};
