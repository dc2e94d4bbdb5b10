import { Flags } from "@oclif/core";

/** The flags of a command that uses a bundle. */
export const bundleFlags = {
  bundle: Flags.string({
    summary: "An air-gap bundle: a release in one file, with its channel.",
    dependsOn: ["root", "mirror"],
    helpGroup: "BUNDLE",
  }),
};
