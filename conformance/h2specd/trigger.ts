// Run by h2specd for each of its cases: makes the bystander ask for the case's port, so that the proxy beside h2specd
// becomes h2specd's client.
//
//   node trigger.ts AGENT_SOCKET HOST PORT_OFFSET URL
import { connect } from "node:http2";
import { Place } from "../pair/pair.ts";

/** h2specd gives a case three seconds. */
const ANSWER_MS_MAX = 2_000;

const [agent, host, offset, url] = process.argv.slice(2);
if (agent === undefined || host === undefined || offset === undefined || url === undefined)
  throw new Error("usage: trigger.ts AGENT_SOCKET HOST PORT_OFFSET URL");

const port = Number(new URL(url).port) + Number(offset);
const socket = await new Place(agent).dial({ host, port });
const session = connect(`http://${host}:${port}`, { createConnection: () => socket });
const { promise, resolve } = Promise.withResolvers<void>();
const timer = setTimeout(resolve, ANSWER_MS_MAX);
session.on("error", () => resolve());
const stream = session.request({ ":path": "/" });
stream.on("error", () => resolve());
stream.on("close", () => resolve());
stream.resume();
stream.end();
await promise;
clearTimeout(timer);
session.destroy();
