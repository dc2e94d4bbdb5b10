import assert from "node:assert/strict";
import test from "node:test";
import { executed, functions, patterns, script, steps } from "./layout.ts";

const HASH = "17h0123456789abcdefE";

const symbol = (path: string): string => `_ZN${path}${HASH}`;

test("a symbol's pattern leaves open what changes with compiler and release", () => {
  assert.deepEqual(steps(`_ZN5tokio7runtime4poll${HASH}`), ["_ZN", "5tokio", "7runtime", "4poll", "17h*"]);
  assert.equal(steps(`_ZN5tokio4poll${HASH}.llvm.123`).join(""), "_ZN5tokio4poll17h*");
  const type = "_$LT$tokio..io..X$u20$as$u20$core..fmt..Debug$GT$";
  const method = steps(`_ZN${type.length}${type}3fmt${HASH}`);
  assert.equal(method.join(""), "_ZN*_$LT$tokio..io..X$u20$as$u20$core..fmt..Debug$GT$3fmt17h*");
  assert.equal(method[1], "*_$LT$tokio");
  assert.equal(steps("aws_lc_0_47_0_EVP_sha256").join(""), "aws_lc_*_EVP_sha256");
  assert.equal(steps("_RNvCs5bBiUqsuQPM_3std4main").join(""), "_RNvCs*_3std4main");
  assert.equal(steps("_RNvCs5bBiUqsuQPM_3std4main.42").join(""), "_RNvCs*_3std4main.*");
});

test("what has run is read from callgrind, also what was only called", () => {
  const text = "fn=(1) main\n1 2\ncfn=(2) _ZN1a1bE'2\ncalls=1 1\nfn=(1)\n";
  assert.deepEqual([...executed(text)], ["main", "_ZN1a1bE"]);
});

test("functions and their sizes are read from the symbol table", () => {
  const table = "0000000000001000 0000000000000010 t main\n0000000000002000 0000000000000008 d data\n";
  assert.deepEqual(functions(table), [{ symbol: "main", bytes: 16 }]);
});

test("a group that ran for the most part is one pattern, one that did not is named function by function", () => {
  const letters = "abcdefghij".split("");
  const hot = letters.map((letter) => symbol(`3hot1${letter}`));
  const cold = letters.map((letter) => symbol(`4cold1${letter}`));
  const all = [...hot, ...cold, symbol("5never1a")].map((name) => ({ symbol: name, bytes: 1_000 }));
  const run = new Set([...hot.slice(1), symbol("4cold1b")]);
  const found = patterns(all, run);
  assert.deepEqual(found, ["_ZN3hot*", "_ZN4cold1b*"]);
  assert.match(script([...found, "free"]), /\*\(\.text\*\._ZN3hot\*\)\n.*\n {4}\*\(\.text\.free\)\n/);
});
