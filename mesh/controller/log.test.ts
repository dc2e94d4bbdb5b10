import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { ConfigError } from "./config.ts";
import { kubeRate } from "./kube_rate.ts";
import { logSettings, logTo, type LogSettings } from "./log.ts";

function written(settings: LogSettings): string {
  let text = "";
  const stream = new Writable({
    decodeStrings: false,
    write: (chunk: string, _encoding, done) => {
      text += chunk;
      done();
    },
  });
  const log = logTo(stream, settings);
  log("debug", "a detail");
  log("info", "serving", { role: "identity", port: 8080, nothing: undefined });
  log("error", "cannot start", { reason: 'a "word"' });
  return text;
}

test("the control plane says what its level lets it, in the form that it is told", () => {
  const plain = written({ level: "info", format: "plain" }).trimEnd().split("\n");
  assert.deepEqual(
    plain.map((line) => line.replace(/^\S+ /, "")),
    ['INFO serving role="identity" port=8080', String.raw`ERROR cannot start reason="a \"word\""`],
  );
  const json = written({ level: "debug", format: "json" }).trimEnd().split("\n");
  assert.equal(json.length, 3);
  assert.equal(JSON.parse(json[1] ?? "").port, 8080);
  assert.equal(written({ level: "error", format: "json" }).trimEnd().split("\n").length, 1);
});

test("values of Linkerd's are understood, and mistakes are named", () => {
  assert.deepEqual(logSettings({}), { level: "debug", format: "json" });
  assert.deepEqual(logSettings({ HAUBERK_LOG_LEVEL: "trace", HAUBERK_LOG_FORMAT: "plain" }), {
    level: "debug",
    format: "plain",
  });
  assert.throws(() => logSettings({ HAUBERK_LOG_LEVEL: "loud" }), ConfigError);
  assert.equal(kubeRate({}), undefined);
  assert.deepEqual(kubeRate({ HAUBERK_KUBE_QPS: "5", HAUBERK_KUBE_BURST: "9" }), { perSecond: 5, burst: 9 });
  assert.throws(() => kubeRate({ HAUBERK_KUBE_QPS: "0", HAUBERK_KUBE_BURST: "9" }), /HAUBERK_KUBE_QPS/);
});
