import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { installPython } from "../tools.ts";
import { traced } from "./cases/tracing.ts";
import { guideYaml } from "./guide.ts";
import { host, TestMesh } from "./mesh.ts";
import { namespace, service, statefulSet } from "./objects.ts";
import { AppPort } from "./ports.ts";

const OTLP_PORT = 4317;
const NAMESPACE = "traced";

let mesh: TestMesh;
let python: string;
let dir: string;
before(async () => {
  python = await installPython((step) => process.stderr.write(`${step}\n`));
  dir = await mkdtemp(join(tmpdir(), "hb-otlp-"));
  const script = join(import.meta.dirname, "collector.ts");
  const command = [process.execPath, script, join(dir, "spans"), String(OTLP_PORT)];
  // The guide's namespace comes in a file of its own, beside the accounts that belong to it.
  const [, ...accounts] = namespace(NAMESPACE, { isMeshed: true });
  const ports = Object.values(AppPort);
  mesh = await TestMesh.start({
    clients: [
      { name: "alice", namespace: NAMESPACE },
      {
        name: "chooser",
        namespace: NAMESPACE,
        annotations: { "config.hauberk.io/trace-sample-ratio": "1" },
      },
    ],
    servers: [{ name: "stable", namespace: NAMESPACE }],
    more: [
      ...accounts,
      ...namespace("observe", { isMeshed: true, accounts: ["collector"] }),
      statefulSet({
        name: "collector",
        namespace: "observe",
        account: "collector",
        containers: [{ name: "collector", command, ports: [{ containerPort: OTLP_PORT }] }],
      }),
      service("collector", "observe", { app: "collector", ports: [OTLP_PORT] }),
      service("web", NAMESPACE, { app: "stable", ports }),
    ],
    yaml: guideYaml("observability", "Tracing"),
  });
});
after(async () => {
  await mesh?.close();
  await rm(dir, { recursive: true, force: true });
});

traced(() => ({
  mesh,
  python,
  spans: join(dir, "spans"),
  server: "stable-0",
  to: (port) => ({ host: host("web", NAMESPACE), port }),
}));
