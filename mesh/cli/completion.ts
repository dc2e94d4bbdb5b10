/** Shells that a script is made for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** A command, as completion sees it. */
export interface CompletedCommand {
  readonly id: string;
  readonly summary: string;
  readonly flags: readonly {
    readonly name: string;
    readonly char?: string | undefined;
    readonly summary: string;
  }[];
}

/** The script, generated from the commands themselves. */
export function completionScript(
  shell: (typeof SHELLS)[number],
  bin: string,
  commands: readonly CompletedCommand[],
): string {
  const make = { bash, zsh, fish }[shell];
  return make(
    bin,
    commands.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
  );
}

function words(command: CompletedCommand): string {
  return [...command.flags.map(({ name }) => `--${name}`), "--help"].join(" ");
}

function bash(bin: string, commands: readonly CompletedCommand[]): string {
  return [
    `_${bin}() {`,
    `  local word=\${COMP_WORDS[COMP_CWORD]} command=\${COMP_WORDS[1]}`,
    "  local words",
    "  case $COMP_CWORD:$command in",
    `    1:*) words="${commands.map(({ id }) => id).join(" ")}" ;;`,
    ...commands.map((command) => `    *:${command.id}) words="${words(command)}" ;;`),
    "  esac",
    '  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")',
    '  [ ${#COMPREPLY[@]} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "$word")',
    "}",
    `complete -F _${bin} ${bin}`,
  ].join("\n");
}

function zsh(bin: string, commands: readonly CompletedCommand[]): string {
  return [
    `#compdef ${bin}`,
    `_${bin}() {`,
    "  local -a commands flags",
    "  if (( CURRENT == 2 )); then",
    "    commands=(",
    ...commands.map(({ id, summary }) => `      ${zshQuoted(id)}:${zshQuoted(summary)}`),
    "    )",
    "    _describe command commands",
    "    return",
    "  fi",
    "  case $words[2] in",
    ...commands.map((command) => `    ${command.id}) flags=(${words(command)}) ;;`),
    "  esac",
    "  compadd -a flags || _files",
    "}",
    `compdef _${bin} ${bin}`,
  ].join("\n");
}

function fish(bin: string, commands: readonly CompletedCommand[]): string {
  return commands
    .flatMap(({ id, summary, flags }) => [
      `complete -c ${bin} -n __fish_use_subcommand -f -a ${id} -d ${fishQuoted(summary)}`,
      ...flags.map(({ name, char, summary }) =>
        [
          `complete -c ${bin} -n '__fish_seen_subcommand_from ${id}' -l ${name}`,
          ...(char === undefined ? [] : [`-s ${char}`]),
          `-d ${fishQuoted(summary)}`,
        ].join(" "),
      ),
    ])
    .join("\n");
}

function zshQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''").replaceAll(":", "\\:")}'`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
