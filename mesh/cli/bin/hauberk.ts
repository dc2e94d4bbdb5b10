#!/usr/bin/env node
import { execute, settings } from "@oclif/core";

// Sources run as they are: nothing is to be looked up in a build directory.
settings.enableAutoTranspile = false;
await execute({ dir: import.meta.url });
