import { Flags } from "@oclif/core";

/** The flag that names a password's file. A password itself is never an argument: others of this machine see those. */
export const passwordFileFlag = Flags.string({
  summary: "File that holds the password of the issuer's file; asked for otherwise.",
});
