// An issuer's key set over HTTPS: answers every request with what the file holds at that moment.
//
//   node issuer.ts PORT KEY_PEM CERTIFICATE_PEM JWKS_FILE
import { readFileSync } from "node:fs";
import { createServer } from "node:https";

const [port, key, certificate, keys] = process.argv.slice(2);
if (keys === undefined || key === undefined || certificate === undefined) {
  throw new Error("usage: issuer.ts PORT KEY_PEM CERTIFICATE_PEM JWKS_FILE");
}
const options = { key: readFileSync(key), cert: readFileSync(certificate) };
createServer(options, (_, response) => {
  response.setHeader("content-type", "application/jwk-set+json");
  response.end(readFileSync(keys));
}).listen(Number(port));
