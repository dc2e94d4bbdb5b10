// Runs inside a pod and does there what the runner asks through a UNIX socket, which crosses network namespaces:
// starts a tool, or carries bytes to an address.
//
//   node agent.ts SOCKET
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { z } from "zod";

const LINE_BYTES_MAX = 64 * 1024;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

const Question = z.discriminatedUnion("op", [
  z.strictObject({
    op: z.literal("run"),
    command: z.string(),
    args: z.array(z.string()),
    timeoutMs: z.number().int().min(1),
  }),
  z.strictObject({ op: z.literal("tunnel"), host: z.string(), port: z.number().int().min(1).max(65_535) }),
]);

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error("usage: agent.ts SOCKET");
rmSync(path, { force: true });
createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("error", () => socket.destroy());
  readLine(socket, (line, rest) => obey(socket, line, rest));
}).listen(path);

function readLine(socket: Socket, heard: (line: string, rest: Buffer) => void): void {
  let read = Buffer.alloc(0);
  const listen = (bytes: Buffer): void => {
    read = Buffer.concat([read, bytes]);
    const end = read.indexOf("\n");
    if (end >= 0) {
      socket.off("data", listen);
      socket.pause();
      heard(read.subarray(0, end).toString("utf8"), read.subarray(end + 1));
    } else if (read.length > LINE_BYTES_MAX) socket.destroy();
  };
  socket.on("data", listen);
}

function obey(socket: Socket, line: string, rest: Buffer): void {
  const question = Question.parse(JSON.parse(line));
  switch (question.op) {
    case "run": {
      const options = { timeout: question.timeoutMs, maxBuffer: OUTPUT_BYTES_MAX };
      execFile(question.command, question.args, options, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 127;
        socket.end(JSON.stringify({ code, stdout, stderr, reason: error?.message ?? "" }));
      });
      return;
    }
    case "tunnel": {
      const far = connect({ host: question.host, port: question.port, allowHalfOpen: true, noDelay: true });
      let isOpen = false;
      far.once("connect", () => {
        isOpen = true;
        socket.write("ok\n");
      });
      far.once("error", (error: NodeJS.ErrnoException) => {
        if (!isOpen) socket.end(`${error.code ?? "error"}\n`);
        else socket.destroy();
      });
      socket.on("error", () => far.destroy());
      socket.on("close", () => far.destroy());
      far.write(rest);
      socket.pipe(far);
      far.pipe(socket);
      return;
    }
  }
}
