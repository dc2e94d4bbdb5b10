// A ledger over plain TCP. The server speaks first, as SMTP's and MySQL's do:
//
//   S: 220 ledger ready
//   C: APPEND p-17 1999
//   S: 250 1 p-17
//   C: QUIT
//   S: 221 closing
//
// A client may also close its side after its last command; it still gets every answer.
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import { listenPort, onStop } from "./settings.ts";

/** A longer line ends the connection. */
const LINE_BYTES_MAX = 1_024;

let entries = 0;
let total = 0n;

function answer(line: string): { readonly text: string; readonly close: boolean } {
  const append = /^APPEND ([A-Za-z0-9-]{1,64}) (\d{1,12})$/.exec(line);
  if (append !== null) {
    entries += 1;
    total += BigInt(append[2] ?? "0");
    return { text: `250 ${entries} ${append[1]}`, close: false };
  }
  if (line === "TOTAL") return { text: `251 ${entries} ${total}`, close: false };
  if (line === "QUIT") return { text: "221 closing", close: true };
  return { text: "500 not understood", close: line.length > LINE_BYTES_MAX };
}

function serve(socket: Socket): void {
  socket.on("error", () => socket.destroy());
  socket.write("220 ledger ready\r\n");
  const lines = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY });
  lines.on("error", () => socket.destroy());
  lines.on("line", (line) => {
    if (!socket.writable) return;
    const { text, close } = answer(line);
    socket.write(`${text}\r\n`);
    if (close) socket.end();
  });
  lines.on("close", () => socket.end());
}

const server = createServer({ allowHalfOpen: true }, serve);
server.listen(listenPort(), "0.0.0.0", () => console.log(`ledger on ${listenPort()}`));
onStop(() => process.exit(0));
