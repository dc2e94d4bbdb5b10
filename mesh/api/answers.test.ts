import assert from "node:assert/strict";
import { test } from "node:test";
import { Answers } from "./answers.ts";
import { Code, RpcError } from "./status.ts";

interface State {
  readonly n: number;
}

function world(initial: number) {
  const state = { n: initial, gone: false, computed: 0 };
  const answers = new Answers<State>({
    encode: (from, to) => Buffer.from(`${from?.n ?? "-"}>${to.n}`),
    same: (before, after) => before.n === after.n,
  });
  const compute = () => {
    state.computed += 1;
    return state.gone
      ? ({ ok: false, refusal: new RpcError(Code.NotFound, "gone") } as const)
      : ({ ok: true, state: { n: state.n } } as const);
  };
  return { state, answers, compute };
}

test("readers of one question share one answer, which is computed once per change of the world", () => {
  const { state, answers, compute } = world(1);
  const woken: string[] = [];
  const reader = (name: string) => ({ wake: () => woken.push(name), end: () => undefined });
  const [a, b] = ["a", "b"].map((name) => answers.open("q", compute).join(reader(name)));
  assert.equal(state.computed, 1);
  assert.equal(a?.take()?.toString(), "->1");
  assert.equal(b?.take()?.toString(), "->1");
  answers.refresh();
  assert.deepEqual(woken, []);
  state.n = 2;
  answers.refresh();
  assert.deepEqual(woken, ["a", "b"]);
  assert.equal(state.computed, 3);
  assert.equal(a?.take()?.toString(), "1>2");
});

test("a question that nobody follows any more is forgotten", () => {
  const { state, answers, compute } = world(1);
  answers
    .open("q", compute)
    .join({ wake: () => undefined, end: () => undefined })
    .leave();
  assert.equal(answers.size, 0);
  answers.open("never joined", compute);
  answers.refresh();
  assert.equal(answers.size, 0);
  assert.equal(state.computed, 2);
});

test("a question that can no longer be answered ends its streams with the reason", () => {
  const { state, answers, compute } = world(1);
  const reasons: string[] = [];
  answers.open("q", compute).join({ wake: () => undefined, end: (reason) => reasons.push(reason.message) });
  state.gone = true;
  answers.refresh();
  assert.deepEqual(reasons, ["gone"]);
  assert.throws(() => answers.open("other", compute), /gone/);
});

test("a question that the change cannot touch is not computed anew", () => {
  let computed = 0;
  const answers = new Answers<{ readonly n: number }, string>({
    encode: () => Buffer.alloc(0),
    same: Object.is,
  });
  const compute = () => ({ ok: true, state: { n: (computed += 1) } }) as const;
  for (const key of ["a", "b"]) {
    answers
      .open(key, compute, { isTouched: (change) => change === key })
      .join({ wake: () => undefined, end: () => undefined });
  }
  assert.equal(computed, 2);
  answers.refresh("a");
  assert.equal(computed, 3);
  answers.refresh("neither");
  assert.equal(computed, 3);
});

test("questions with interests are found by them, and forgotten with their last reader", () => {
  const computed: string[] = [];
  const answers = new Answers<{ readonly n: number }, string>({
    encode: () => Buffer.alloc(0),
    same: Object.is,
  });
  const join = (key: string, interests?: readonly string[]) =>
    answers
      .open(
        key,
        () => {
          computed.push(key);
          return { ok: true, state: { n: 0 } };
        },
        { isTouched: () => true, ...(interests === undefined ? {} : { interests }) },
      )
      .join({ wake: () => undefined, end: () => undefined });
  const first = join("one", ["x", "y"]);
  join("two", ["y"]);
  join("none", []);
  join("any");
  const refreshed = (interests?: readonly string[]) => {
    computed.length = 0;
    answers.refresh("", interests);
    return computed.toSorted();
  };
  assert.deepEqual(refreshed(["x"]), ["any", "one"]);
  assert.deepEqual(refreshed(["x", "y"]), ["any", "one", "two"]);
  assert.deepEqual(refreshed([]), ["any"]);
  assert.deepEqual(refreshed(), ["any", "none", "one", "two"]);
  first.leave();
  assert.deepEqual(refreshed(["x", "y"]), ["any", "two"]);
});
