/** The application as external authorization (`envoy.service.auth.v3`), which reads and writes its messages by itself. */

/** A length-delimited field. */
function field(number: number, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

function integer(number: number, value: number): Buffer {
  return Buffer.concat([varint(number * 8), varint(value)]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}

/** The length-delimited fields of a message with this number; integers are passed over. */
function fields(message: Buffer, number: number): readonly Buffer[] {
  const found: Buffer[] = [];
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at] ?? 0;
      at += 1;
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = next();
    if (tag % 8 === 0) {
      next();
      continue;
    }
    const length = next();
    if (Math.floor(tag / 8) === number) found.push(message.subarray(at, at + length));
    at += length;
  }
  return found;
}

function path(message: Buffer, ...numbers: readonly number[]): Buffer {
  return numbers.reduce((inner, number) => fields(inner, number)[0] ?? Buffer.alloc(0), message);
}

function table(message: Buffer, number: number): ReadonlyMap<string, string> {
  return new Map(
    fields(message, number).map((entry) => [String(path(entry, 1)), String(path(entry, 2))] as const),
  );
}

const option = (key: string, value: string): Buffer =>
  field(1, Buffer.concat([field(1, key), field(2, value)]));

/** What the answers are made of: `AttributeContext.source.principal`, `request.http` and `context_extensions`. */
export function check(question: Buffer, note: (event: string) => void): Buffer {
  const attributes = path(question, 1);
  const http = path(attributes, 4, 2);
  const headers = table(http, 3);
  const principal = String(path(attributes, 1, 4));
  const verdict = headers.get("x-verdict") ?? "allow";
  note(
    `check ${JSON.stringify({
      principal,
      address: String(path(attributes, 1, 1, 1, 2)),
      method: String(path(http, 2)),
      path: String(path(http, 4)),
      headers: Object.fromEntries(headers),
      context: Object.fromEntries(table(attributes, 10)),
    })}`,
  );
  const status = (code: number): Buffer => field(1, code === 0 ? Buffer.alloc(0) : integer(1, code));
  if (verdict === "allow") {
    const ok = [
      field(2, option("x-user", `ann of ${principal}`)),
      field(2, option("x-unlisted", "1")),
      field(5, "x-verdict"),
      field(6, option("x-judged", "yes")),
    ];
    return Buffer.concat([status(0), field(3, Buffer.concat(ok))]);
  }
  if (verdict === "silent") return status(7);
  const denied = [
    field(1, integer(1, Number(verdict))),
    field(2, option("x-why", "because")),
    field(3, `denied with ${verdict}`),
  ];
  return Buffer.concat([status(7), field(2, Buffer.concat(denied))]);
}
