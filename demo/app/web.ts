import { Agent, createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { WebSocket } from "ws";
import { WebSocketServer } from "ws";
import { channel, exchange, get, ledger, unary } from "./clients.ts";
import { PriceReply, Verdict, method, service } from "./grpc.ts";
import { listenPort, onStop, setting } from "./settings.ts";

/** Longest wait for anything behind this front end. */
const TIMEOUT_MS = 15_000;
/** Between two prices on a WebSocket. */
const PRICE_INTERVAL_MS = 250;

const Quotes = service("Quotes");
const Risk = service("Risk");
const quotes = channel(setting("QUOTES"));
const risk = channel(setting("RISK"));
const agent = new Agent({ keepAlive: true, maxSockets: 64 });

interface Page {
  readonly status: number;
  readonly body: object;
}

async function price(article: string): Promise<number> {
  const reply = await unary(quotes, Quotes, { method: "Price", message: { article }, timeoutMs: TIMEOUT_MS });
  return PriceReply.parse(reply).cents;
}

/** Prices an article and looks its payment up. Repeating it changes nothing. */
async function checkout(id: string): Promise<Page> {
  const [cents, payment] = await Promise.all([
    price("shirt"),
    get(`http://${setting("PAYMENTS")}/payments/${id}`, { agent, timeoutMs: TIMEOUT_MS }),
  ]);
  const status = payment.status === 200 ? 200 : 502;
  return {
    status,
    body: { id, cents, payment: payment.status, version: payment.headers["x-version"] ?? "" },
  };
}

async function assess(id: string): Promise<Page> {
  const message = { id, cents: 1_999 };
  const reply = await unary(risk, Risk, { method: "Assess", message, timeoutMs: TIMEOUT_MS });
  return { status: 200, body: Verdict.parse(reply) };
}

/** Three purchases judged over one two-way stream. */
async function screen(id: string): Promise<Page> {
  const messages = [1, 2, 3].map((nth) => ({ id: `${id}-${nth}`, cents: nth * 1_000 }));
  const replies = await exchange(risk, Risk, { method: "Screen", messages, timeoutMs: TIMEOUT_MS });
  const verdicts = replies.map((reply) => Verdict.parse(reply));
  const complete = verdicts.length === messages.length;
  return { status: complete ? 200 : 502, body: { verdicts } };
}

async function book(id: string): Promise<Page> {
  const { greeting, answer } = await ledger(setting("LEDGER"), `APPEND ${id} 1999`, TIMEOUT_MS);
  const booked = greeting.startsWith("220 ") && answer.startsWith("250 ");
  return { status: booked ? 200 : 502, body: { greeting, answer } };
}

async function archived(id: string): Promise<Page> {
  const answer = await get(`http://${setting("ARCHIVE")}/payments/${id}`, { timeoutMs: TIMEOUT_MS });
  return { status: answer.status === 200 ? 200 : 502, body: { archive: answer.status } };
}

const pages: Readonly<Record<string, (id: string) => Promise<Page>>> = {
  "/checkout": checkout,
  "/risk": assess,
  "/screen": screen,
  "/book": book,
  "/archive": archived,
};

const HOME = `<!doctype html><title>Shop</title><h1>Shop</h1><p>A shirt costs <b id="price">…</b> cents.</p>
<script>new WebSocket("ws://"+location.host+"/prices").onmessage=(e)=>{price.textContent=JSON.parse(e.data).cents}</script>
`;

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://web");
  if (url.pathname === "/") {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(HOME);
    return;
  }
  const page = pages[url.pathname];
  if (page === undefined) {
    response.writeHead(url.pathname === "/healthz" ? 200 : 404).end();
    return;
  }
  const { status, body } = await page(url.searchParams.get("id") ?? "p-0").catch((error: unknown) => ({
    status: 502,
    body: { error: error instanceof Error ? error.message : String(error) },
  }));
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** Forwards the price stream of the quotes service to one browser. */
function prices(socket: WebSocket): void {
  const { path, requestSerialize, responseDeserialize } = method(Quotes, "Watch");
  const watch = { article: "shirt", interval_ms: PRICE_INTERVAL_MS, count: 0 };
  const stream = quotes.makeServerStreamRequest(path, requestSerialize, responseDeserialize, watch);
  stream.on("data", (reply) => socket.send(JSON.stringify(PriceReply.parse(reply))));
  stream.on("error", () => socket.close(1011));
  stream.on("end", () => socket.close(1000));
  socket.on("close", () => stream.cancel());
  socket.on("error", () => socket.terminate());
}

const server = createServer((request, response) => void serve(request, response));
server.keepAliveTimeout = 60_000;
const sockets = new WebSocketServer({ server, path: "/prices" });
sockets.on("connection", prices);
server.listen(listenPort(), "0.0.0.0", () => console.log(`web on ${listenPort()}`));
onStop(() => {
  for (const socket of sockets.clients) socket.close(1001);
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
