#!/usr/bin/env node
import { execute, settings } from "@oclif/core";

// Sources run as they are: nothing is to be looked up in a build directory.
settings.enableAutoTranspile = false;
// A reader that has seen enough, such as `head`, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});
await execute({ dir: import.meta.url });
