// The backend: it shows the page, and says who is given a token of which room. AWS's variables say
// where the service is, and with which key: AWS_ENDPOINT_URL_IVSCHAT, AWS_PROFILE and others.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { Ivschat } from "@aws-sdk/client-ivschat";
import { build } from "esbuild";

const here = (name) => new URL(name, import.meta.url).pathname;
const ivschat = new Ivschat();
const endpoint = process.env.AWS_ENDPOINT_URL_IVSCHAT;
const websocketUrl =
  process.env.CHAT_URL ?? (endpoint ? `${endpoint.replace("http", "ws")}/` : process.env.AWS_REGION);

const { outputFiles } = await build({
  entryPoints: [here("app.mjs")],
  bundle: true,
  format: "esm",
  write: false,
});

let room;
let visitors = 0;

async function findRoom() {
  const { rooms } = await ivschat.listRooms({ name: "browser-example" });
  return (rooms[0] ?? (await ivschat.createRoom({ name: "browser-example" }))).arn;
}

/** Here an application looks at its own session: who is it, and what may he do? */
async function token() {
  // One that could not be found is looked for again with the next visitor.
  room ??= findRoom().catch((error) => {
    room = undefined;
    throw error;
  });
  return ivschat.createChatToken({
    roomIdentifier: await room,
    userId: `visitor-${++visitors}`,
    capabilities: ["SEND_MESSAGE"],
  });
}

const FILES = {
  "/": ["text/html; charset=utf-8", readFileSync(here("index.html"))],
  "/app.js": ["text/javascript; charset=utf-8", outputFiles[0].contents],
  "/config": ["application/json", JSON.stringify({ websocketUrl })],
};

async function answer(request, response) {
  const file = FILES[request.url];
  if (request.method === "POST" && request.url === "/token") {
    // Without a login only the origin tells this page from those of others.
    if (request.headers.origin !== origin) return response.writeHead(403).end("another page");
    response.setHeader("Content-Type", "application/json");
    return response.end(JSON.stringify(await token()));
  }
  if (request.method !== "GET" || !file) return response.writeHead(404).end();
  return response.setHeader("Content-Type", file[0]).end(file[1]);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    // The visitor is told no more: AWS's words name accounts, users and what they may not do.
    console.error(error);
    response.writeHead(500).end("no token");
  });
});
await new Promise((resolve) => server.listen(process.env.PORT ?? 8080, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;
console.log(`open ${origin}/`);
