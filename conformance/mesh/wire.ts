/** HTTP/1 as bytes on a connection: what is sent is what the test says, and what comes is read strictly. */
import type { Socket } from "node:net";
import type { Address, Place } from "../pair/pair.ts";

const READ_MS_MAX = 20_000;

/** One response, or the interim one before it. */
export interface Response {
  readonly status: number;
  readonly version: string;
  readonly headers: Headers;
  readonly body: Buffer;
  readonly trailers: Headers;
}

/** A connection that is read as HTTP/1 responses. */
export class Wire {
  readonly socket: Socket;
  /** What came and was not taken yet; joined only when somebody looks into it. */
  #parts: Buffer[] = [];
  #length = 0;
  #isEnded = false;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (part: Buffer) => {
      this.#parts.push(part);
      this.#length += part.length;
      this.#wake();
    });
    const end = (): void => {
      this.#isEnded = true;
      this.#wake();
    };
    socket.on("end", end);
    socket.on("close", end);
  }

  static async to(place: Place, address: Address): Promise<Wire> {
    return new Wire(await place.dial(address));
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  close(): void {
    this.socket.destroy();
  }

  /** The other side has closed its direction. */
  async ended(): Promise<Buffer> {
    while (!this.#isEnded) await this.#more();
    return this.#take(this.#length);
  }

  /** Up to and with the first `mark`. */
  async through(mark: string): Promise<string> {
    for (;;) {
      const bytes = this.#joined();
      const at = bytes.indexOf(mark);
      if (at >= 0) return this.#take(at + mark.length).toString("latin1");
      if (this.#isEnded)
        throw new Error(`ended before ${JSON.stringify(mark)}: ${bytes.toString("latin1", 0, 400)}`);
      await this.#more();
    }
  }

  async exactly(length: number): Promise<Buffer> {
    while (this.#length < length) {
      if (this.#isEnded) throw new Error(`ended after ${this.#length} of ${length} bytes`);
      await this.#more();
    }
    return this.#take(length);
  }

  /** One head and what belongs to it. `method` decides whether there is a body. */
  async response(method = "GET"): Promise<Response> {
    const { status, version, headers } = parseHead(await this.through("\r\n\r\n"));
    const isBodiless = method === "HEAD" || status < 200 || status === 204 || status === 304;
    const none = { status, version, headers, trailers: new Headers() };
    if (isBodiless) return { ...none, body: Buffer.alloc(0) };
    if (headers.get("transfer-encoding") === "chunked") return { ...none, ...(await this.#chunks()) };
    const length = headers.get("content-length");
    return { ...none, body: length === null ? await this.ended() : await this.exactly(Number(length)) };
  }

  async #chunks(): Promise<Pick<Response, "body" | "trailers">> {
    const parts: Buffer[] = [];
    for (;;) {
      const length = Number.parseInt(await this.through("\r\n"), 16);
      if (length === 0) break;
      parts.push(await this.exactly(length));
      await this.exactly(2);
    }
    const trailers = new Headers();
    for (let line = await this.through("\r\n"); line !== "\r\n"; line = await this.through("\r\n"))
      addField(trailers, line);
    return { body: Buffer.concat(parts), trailers };
  }

  #take(length: number): Buffer {
    const bytes = this.#joined();
    this.#parts = [bytes.subarray(length)];
    this.#length -= length;
    return bytes.subarray(0, length);
  }

  #joined(): Buffer {
    const [only, second] = this.#parts;
    if (only !== undefined && second === undefined) return only;
    const bytes = Buffer.concat(this.#parts);
    this.#parts = [bytes];
    return bytes;
  }

  async #more(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(
      () => reject(new Error(`nothing came for ${READ_MS_MAX} ms; ${this.#length} bytes came before`)),
      READ_MS_MAX,
    );
    this.#wake = resolve;
    try {
      await promise;
    } finally {
      clearTimeout(timer);
    }
  }
}

function parseHead(head: string): Pick<Response, "status" | "version" | "headers"> {
  const [first = "", ...lines] = head.trimEnd().split("\r\n");
  const [, version = "", status = ""] = /^(HTTP\/1\.[01]) (\d{3})/.exec(first) ?? [];
  if (version === "") throw new Error(`no HTTP/1 response: ${first.slice(0, 200)}`);
  const headers = new Headers();
  for (const line of lines) addField(headers, line);
  return { version, status: Number(status), headers };
}

function addField(headers: Headers, line: string): void {
  const colon = line.indexOf(":");
  if (colon < 1) throw new Error(`no field line: ${line}`);
  headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
}

/** A request on a connection of its own, which is closed afterwards. */
export async function fetchOnce(
  place: Place,
  address: Address,
  request: {
    readonly method?: string;
    readonly path?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
  } = {},
): Promise<Response> {
  const { method = "GET", path = "/", headers = {}, body } = request;
  const wire = await Wire.to(place, address);
  try {
    wire.write(head(method, path, { Host: address.host, ...headers, ...lengthOf(body) }));
    if (body !== undefined) wire.write(body);
    return await wire.response(method);
  } finally {
    wire.close();
  }
}

function lengthOf(body: string | undefined): Readonly<Record<string, string>> {
  return body === undefined ? {} : { "Content-Length": String(Buffer.byteLength(body)) };
}

/** The head of a request. */
export function head(method: string, path: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}
