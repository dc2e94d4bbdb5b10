import { AuditExportCommand, AuditShowCommand, AuditVerifyCommand } from "./command/audit.ts";
import { AuthzCommand } from "./command/authz.ts";
import { BundlePushCommand } from "./command/bundle.ts";
import { CheckCommand } from "./command/check.ts";
import { CompletionCommand } from "./command/completion.ts";
import {
  ComplianceDiffCommand,
  ComplianceKeysCommand,
  ComplianceReportCommand,
  ComplianceVerifyCommand,
} from "./command/compliance.ts";
import { CryptoInventoryCommand } from "./command/crypto.ts";
import { DiagnosticsControllerMetricsCommand } from "./command/diagnostics/controller-metrics.ts";
import { DiagnosticsEndpointsCommand } from "./command/diagnostics/endpoints.ts";
import { DiagnosticsPolicyCommand } from "./command/diagnostics/policy.ts";
import { DiagnosticsProfileCommand } from "./command/diagnostics/profile.ts";
import { DiagnosticsProxyMetricsCommand } from "./command/diagnostics/proxy-metrics.ts";
import { DownCommand } from "./command/down.ts";
import { EdgesCommand } from "./command/edges.ts";
import { ExplainCommand } from "./command/explain.ts";
import { IdentityCommand } from "./command/identity.ts";
import { IdentityImportCommand } from "./command/identity-import.ts";
import { InjectCommand } from "./command/inject.ts";
import { InstallCniCommand } from "./command/install-cni.ts";
import { InstallCommand } from "./command/install.ts";
import { PolicyCheckCommand } from "./command/policy/check.ts";
import { PolicyEdgesCommand } from "./command/policy/edges.ts";
import { PolicyExplainCommand } from "./command/policy/explain.ts";
import { PolicyGenerateCommand } from "./command/policy/generate.ts";
import {
  PolicyHistoryRecordCommand,
  PolicyHistoryRestoreCommand,
  PolicyHistoryShowCommand,
} from "./command/policy/history.ts";
import { PolicySimulateCommand } from "./command/policy/simulate.ts";
import { PolicyTestCommand } from "./command/policy/test.ts";
import { PruneCommand } from "./command/prune.ts";
import { ProfileCommand } from "./command/profile.ts";
import { ProxyUpgradeCommand } from "./command/proxy/upgrade.ts";
import { StatCommand } from "./command/stat.ts";
import { TapCommand } from "./command/tap.ts";
import { TrustRotateCommand, TrustStatusCommand } from "./command/trust.ts";
import { UninjectCommand } from "./command/uninject.ts";
import { UninstallCommand } from "./command/uninstall.ts";
import { UpCommand } from "./command/up.ts";
import { VerifyCommand } from "./command/verify.ts";
import { UpgradeCommand } from "./command/upgrade.ts";
import { VersionCommand } from "./command/version.ts";

/** Every command by its name. What a command needs to do its work, it loads when it runs. */
export const COMMANDS = {
  "audit:export": AuditExportCommand,
  "audit:show": AuditShowCommand,
  "audit:verify": AuditVerifyCommand,
  authz: AuthzCommand,
  "bundle:push": BundlePushCommand,
  check: CheckCommand,
  completion: CompletionCommand,
  "compliance:diff": ComplianceDiffCommand,
  "compliance:keys": ComplianceKeysCommand,
  "compliance:report": ComplianceReportCommand,
  "compliance:verify": ComplianceVerifyCommand,
  "crypto:inventory": CryptoInventoryCommand,
  "diagnostics:controller-metrics": DiagnosticsControllerMetricsCommand,
  "diagnostics:endpoints": DiagnosticsEndpointsCommand,
  "diagnostics:policy": DiagnosticsPolicyCommand,
  "diagnostics:profile": DiagnosticsProfileCommand,
  "diagnostics:proxy-metrics": DiagnosticsProxyMetricsCommand,
  down: DownCommand,
  edges: EdgesCommand,
  explain: ExplainCommand,
  identity: IdentityCommand,
  "identity:import": IdentityImportCommand,
  inject: InjectCommand,
  install: InstallCommand,
  "install-cni": InstallCniCommand,
  "policy:check": PolicyCheckCommand,
  "policy:edges": PolicyEdgesCommand,
  "policy:explain": PolicyExplainCommand,
  "policy:generate": PolicyGenerateCommand,
  "policy:history:record": PolicyHistoryRecordCommand,
  "policy:history:restore": PolicyHistoryRestoreCommand,
  "policy:history:show": PolicyHistoryShowCommand,
  "policy:simulate": PolicySimulateCommand,
  "policy:test": PolicyTestCommand,
  prune: PruneCommand,
  profile: ProfileCommand,
  "proxy:upgrade": ProxyUpgradeCommand,
  stat: StatCommand,
  "trust:rotate": TrustRotateCommand,
  "trust:status": TrustStatusCommand,
  uninject: UninjectCommand,
  uninstall: UninstallCommand,
  up: UpCommand,
  verify: VerifyCommand,
  upgrade: UpgradeCommand,
  version: VersionCommand,
  "viz:tap": TapCommand,
};
