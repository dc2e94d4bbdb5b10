import assert from "node:assert/strict";
import { test } from "node:test";
import { COMMANDS } from "./commands.ts";
import { SHELLS, completionScript } from "./completion.ts";
import { nearest } from "./nearest.ts";

test("a mistyped word finds the one that was meant, and a strange one nothing", () => {
  const words = Object.keys(COMMANDS);
  const table: readonly (readonly [string, string | undefined])[] = [
    ["stta", "stat"],
    ["edge", "edges"],
    ["chek", "check"],
    ["upp", "up"],
    ["dashboard", undefined],
    ["x", undefined],
  ];
  for (const [word, expected] of table) assert.equal(nearest(word, words), expected, word);
});

test("completion scripts name every command and flag, in every shell", () => {
  const commands = Object.entries(COMMANDS).map(([id, command]) => ({
    id,
    summary: command.summary ?? "",
    flags: Object.entries(command.flags ?? {}).map(([name, { summary = "" }]) => ({ name, summary })),
  }));
  for (const shell of SHELLS) {
    const script = completionScript(shell, "hauberk", commands);
    for (const { id, flags } of commands) {
      assert.ok(script.includes(id), `${shell}: ${id}`);
      for (const { name } of flags)
        assert.ok(script.includes(shell === "fish" ? `-l ${name}` : `--${name}`), `${shell}: ${name}`);
    }
  }
});

test("every command says what it does and ends its sentence", () => {
  for (const [id, command] of Object.entries(COMMANDS))
    assert.match(command.summary ?? "", /^[A-Z].*\.$/, id);
});
