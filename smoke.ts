import { up } from "./mesh/standalone/up.ts";
const t0 = Date.now();
const it = await up({ name: "smoke", state: "/tmp/sa/state", manifests: ["demo/manifests"], rootless: process.argv[2]==="rootless", version: "0", logLevel: "info", proxyEnvironment: {}, controllerArgs: [], viz: undefined, environment: { ...process.env, HAUBERK_BIN_DIR: "/tmp/sa/bin" }, say: (t) => console.log(Date.now() - t0, t) });
console.log(Date.now() - t0, "up");
const stop = async () => { await it.close(); console.log("closed"); };
process.on("SIGTERM", stop); process.on("SIGINT", stop);
for (let i = 0; i < 40; i++) { await new Promise((r) => setTimeout(r, 500)); const p = it.mesh.pods; if (i%4===0) console.log(Date.now() - t0, p.filter((x) => x.state.ready).length, "of", p.length, p.filter((x) => !x.state.ready).map((x) => x.key + " " + x.stage + " " + x.problem).join("; ")); if (p.every((x) => x.state.ready)) break; }
const sh = it.mesh.pods.find((p) => p.key.includes("plain"))!;
console.log(await sh.exec(["node", "call.ts", "http", "http://payments.prod:8080/payments/p-1"], { timeoutMs: 9000 }));
console.log(await sh.exec(["node", "call.ts", "grpc", "risk.prod.svc.cluster.local:9000"], { timeoutMs: 9000 }));
console.log(await sh.exec(["node", "call.ts", "ledger", "ledger.prod:7070"], { timeoutMs: 9000 }));
if (process.argv.includes("hold")) await new Promise(() => {});
await stop();
process.exit(0);
