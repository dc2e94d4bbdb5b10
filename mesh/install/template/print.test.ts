import assert from "node:assert/strict";
import { test } from "node:test";
import {
  all,
  base64,
  block,
  decimal,
  each,
  embedded,
  entries,
  equal,
  merge,
  not,
  text,
  value,
  when,
  withDefault,
  NAMESPACE,
  VERSION,
  type Node,
} from "./node.ts";
import { renderNode, templateOf } from "./print.ts";

const scope = {
  namespace: "linkerd",
  version: "1.2.3",
  values: {
    name: "web",
    tag: "",
    port: 80,
    on: true,
    labels: { b: "2", "a.b/c": "yes" },
    list: [{ z: 1, a: "<x>" }],
    pem: "one\ntwo\n",
  },
};

const both = (node: Node) => ({ yaml: renderNode(node, scope), go: templateOf(node) });

test("constants are quoted exactly where YAML would misread them", () => {
  const { yaml, go } = both({ a: "plain/text", b: "yes", c: "1", d: 1, e: true, f: "a: b", "g.h/i": "" });
  assert.equal(yaml, 'a: plain/text\nb: "yes"\nc: "1"\nd: 1\ne: true\nf: "a: b"\ng.h/i: ""\n');
  assert.equal(go, yaml.replaceAll("g.h/i", "g.h/i"));
});

test("expressions become JSON, in the values and in the template", () => {
  const { yaml, go } = both({
    image: text`${value("name")}:${withDefault(value("tag"), VERSION)}`,
    at: text`${value("name")}.${NAMESPACE}:${decimal("port")}`,
    list: value("list"),
    secret: base64(value("name")),
  });
  assert.equal(yaml, 'image: "web:1.2.3"\nat: "web.linkerd:80"\nlist: [{"a":"<x>","z":1}]\nsecret: "d2Vi"\n');
  assert.match(
    go,
    /image: \{\{ toRawJson \(printf "%v:%v" \.Values\.name \(default \.Chart\.AppVersion \.Values\.tag\)\) \}\}/,
  );
});

test("what a condition hides leaves no trace", () => {
  const { yaml, go } = both(
    merge(
      { a: 1 },
      when(not("on"), { hidden: true }),
      when(all("on", equal("name", "web")), { shown: [1, when("tag", 2), each("list")] }),
      { labels: merge({ x: "y" }, entries("labels")) },
    ),
  );
  assert.equal(
    yaml,
    'a: 1\nshown:\n- 1\n- {"a":"<x>","z":1}\nlabels:\n  x: "y"\n  "a.b/c": "yes"\n  "b": "2"\n',
  );
  assert.match(go, /\{\{- if \(not \.Values\.on\) \}\}\nhidden: true\n\{\{- end \}\}/);
});

test("text of several lines and documents in documents are blocks", () => {
  const { yaml, go } = both({
    data: { pem: block(value("pem")), values: embedded({ a: { b: value("port") } }) },
  });
  assert.equal(yaml, "data:\n  pem: |\n    one\n    two\n  values: |\n    a:\n      b: 80\n");
  assert.match(go, /pem: \|\{\{ trim \.Values\.pem \| nindent 4 \}\}/);
});

test("a map that would be empty, and a value that does not exist, are mistakes of the template", () => {
  assert.throws(() => both({ a: merge(when("tag", { b: 1 })) }), /would be empty/);
  assert.throws(() => both({ a: value("nothing.here") }), /there is no value nothing\.here/);
  assert.throws(() => both({ a: "{{ .Values }}" }), /read as a template/);
});
