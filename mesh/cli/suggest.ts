import type { Hook } from "@oclif/core";
import { EXIT } from "./mesh-command.ts";
import { findExtension, runExtension } from "./extension.ts";
import { nearest } from "./nearest.ts";

/** A command that we do not have may be an extension's; else it is answered with the one that was probably meant. */
export const commandNotFound: Hook.CommandNotFound = async function commandNotFound({ id, config }) {
  const [name = "", ...args] = process.argv.slice(2);
  const extension = await findExtension(name, process.env);
  if (extension !== undefined) {
    process.exitCode = await runExtension(extension, args);
    return;
  }
  const close = nearest(id, config.commandIDs);
  const hint = close === undefined ? "hauberk --help lists the commands" : `did you mean hauberk ${close}?`;
  this.error(`there is no command ${id}: ${hint}`, { exit: EXIT.usage });
};
