import type { Hook } from "@oclif/core";
import { EXIT } from "./mesh-command.ts";
import { nearest } from "./nearest.ts";

/** Answers a command that does not exist with the one that was probably meant. */
export const commandNotFound: Hook.CommandNotFound = async function commandNotFound({ id, config }) {
  const close = nearest(id, config.commandIDs);
  const hint = close === undefined ? "hauberk --help lists the commands" : `did you mean hauberk ${close}?`;
  this.error(`there is no command ${id}: ${hint}`, { exit: EXIT.usage });
};
