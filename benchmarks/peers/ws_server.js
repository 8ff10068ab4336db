// ws: every message to every connection, as its documentation's server broadcast does; with the
// files of a certificate and its key over TLS.
import { readFileSync } from "node:fs";
import { createServer as createPlainServer } from "node:http";
import { createServer } from "node:https";
import { WebSocket, WebSocketServer } from "ws";

const [port, certificate, key] = process.argv.slice(2);
const listening = certificate
  ? createServer({ cert: readFileSync(certificate), key: readFileSync(key) })
  : createPlainServer();
listening.listen(Number(port), "127.0.0.1");
const server = new WebSocketServer({ server: listening });

server.on("connection", (connection) => {
  connection.on("message", (data, isBinary) => {
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
    }
  });
});
