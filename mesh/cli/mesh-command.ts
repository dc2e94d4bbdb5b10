import { Command, Errors, Flags } from "@oclif/core";
import { z } from "zod";
import { ControlError, MeshClient } from "@hauberk/mesh/standalone/control-client.ts";
import { MESH_NAME, knownMeshes, stateDir, statePaths } from "@hauberk/mesh/standalone/state.ts";
import type { StatePaths } from "@hauberk/mesh/standalone/state.ts";
import { nearest } from "./nearest.ts";

/** How a command ends. */
export const EXIT = {
  /** What was asked about is not well. */
  unwell: 1,
  /** The command line is wrong. */
  usage: 2,
  /** No mesh answers. */
  notRunning: 3,
} as const;

/** Flags of every command that talks to a running mesh. */
export const meshFlags = {
  name: Flags.string({ summary: "Name of the mesh.", default: "default" }),
  state: Flags.string({ summary: "Its state directory, if it was started with one." }),
  output: Flags.string({ char: "o", summary: "How to print.", options: ["table", "json"], default: "table" }),
};

/** Their values. */
export const MeshOptions = {
  name: z.string().regex(MESH_NAME, "is no name for a mesh"),
  state: z.string().min(1).optional(),
  output: z.enum(["table", "json"]),
};

/** A command of ours: one way out for every error. */
export abstract class MeshCommand extends Command {
  /** Where the mesh in question keeps its state. */
  protected paths(options: { readonly name: string; readonly state?: string | undefined }): StatePaths {
    return statePaths(options.state ?? stateDir(options.name, process.env));
  }

  protected client(paths: StatePaths): MeshClient {
    return new MeshClient(paths.upSocket);
  }

  protected print(output: "table" | "json", value: { readonly table: string; readonly json: unknown }): void {
    this.log(output === "json" ? JSON.stringify(value.json, undefined, 2) : value.table);
  }

  protected override catch(error: Error & { exitCode?: number }): Promise<never> {
    if (error instanceof Errors.ExitError) throw error;
    if (error instanceof ControlError && error.code === "not_running") {
      const known = knownMeshes(process.env);
      const hint =
        known.length === 0
          ? "hauberk up -f DIR starts one"
          : `meshes with state: ${known.join(", ")} (--name)`;
      this.error(`no mesh answers: ${error.message}\n${hint}`, { exit: EXIT.notRunning });
    }
    if (error instanceof z.ZodError) {
      this.error(error.issues.map(({ path, message }) => `--${path.join(".")}: ${message}`).join("\n"), {
        exit: EXIT.usage,
      });
    }
    if (error.name === "ValuesError") this.error(error.message, { exit: EXIT.usage });
    const flag = /^Nonexistent flags?: (--?[\w-]+)/.exec(error.message)?.[1];
    if (flag !== undefined) {
      const flags = Object.keys(this.ctor.flags).map((name) => `--${name}`);
      const close = nearest(flag, flags);
      this.error(
        `there is no ${flag} here${close === undefined ? "" : `: did you mean ${close}?`}\nhauberk ${this.id ?? ""} --help lists the flags`,
        {
          exit: EXIT.usage,
        },
      );
    }
    if (error instanceof Errors.CLIError) this.error(error.message, { exit: error.oclif.exit ?? EXIT.usage });
    this.error(error.message, { exit: EXIT.unwell });
  }
}
