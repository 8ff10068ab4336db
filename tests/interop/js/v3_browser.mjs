/** Runs `v3_page.mjs` in Chromium, from a server of its own, and watches its preflights. */

import http from "node:http";

import { build } from "esbuild";
import puppeteer from "puppeteer-core";

import { equal, holds, main, settings, test } from "./harness.mjs";
import { listening } from "./servers.mjs";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--no-proxy-server",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const { origin } = new URL(settings.endpoint);
const preflights = new Map();
const requests = new Set();
const failures = [];

async function bundled() {
  const { outputFiles } = await build({
    entryPoints: [new URL("v3_page.mjs", import.meta.url).pathname],
    bundle: true,
    format: "esm",
    platform: "browser",
    write: false,
    logLevel: "warning",
  });
  return outputFiles[0].text;
}

function serving(script) {
  const given = JSON.stringify(settings).replaceAll("<", "\\u003c");
  const page = `<!doctype html><meta charset="utf-8"><script>SETTINGS = ${given}</script>
<script type="module" src="/page.mjs"></script>`;
  return http.createServer((request, response) => {
    const isScript = request.url === "/page.mjs";
    response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : page);
  });
}

/** Keeps what the network layer sees of the service: a page cannot see its own preflights. */
async function watch(page) {
  const session = await page.createCDPSession();
  session.on("Network.requestWillBeSent", ({ requestId, request }) => {
    if (!request.url.startsWith(`${origin}/`)) return;
    if (request.method === "OPTIONS") preflights.set(requestId, { request });
    else requests.add(`${request.method} ${request.url}`);
  });
  session.on("Network.responseReceived", ({ requestId, response }) => {
    if (preflights.has(requestId)) preflights.get(requestId).response = response;
  });
  session.on("Network.loadingFailed", ({ corsErrorStatus }) => {
    if (corsErrorStatus) failures.push(corsErrorStatus.corsError);
  });
  await session.send("Network.enable");
}

async function inPage(port) {
  const executablePath = settings.chromium;
  const browser = await puppeteer.launch({ executablePath, headless: true, args: FLAGS });
  try {
    const page = await browser.newPage();
    page.on("pageerror", (error) => process.stderr.write(`${error.stack}\n`));
    await watch(page);
    await page.exposeFunction("report", (outcome) => {
      process.stdout.write(`${JSON.stringify(outcome)}\n`);
    });
    const finished = new Promise((resolve) => page.exposeFunction("finish", resolve));
    await page.goto(`http://127.0.0.1:${port}/`);
    await finished;
  } finally {
    await browser.close();
  }
}

test("the browser asked before it sent, and may send what it asked for", async () => {
  const [sent, asked] = [new Set([...requests].map((line) => line.split(" ")[1])), new Set()];
  for (const { request, response } of preflights.values()) {
    asked.add(request.url);
    equal(header(request, "authorization"), undefined, "Authorization");
    const wanted = header(request, "access-control-request-headers");
    holds(wanted.split(",").includes("authorization"), "it asks for Authorization");
    equal(response.status, 204);
    equal(header(response, "access-control-allow-headers"), wanted, "the allowed headers");
  }
  equal([...sent].sort(), [...asked].sort(), "what was sent");
  const operations = new Set([...requests].map((line) => line.split("/tags/")[0]));
  equal(operations.size, 17, "operations");
});

test("the browser blocked none of the page's requests", async () => {
  equal(failures, []);
});

function header({ headers }, name) {
  return Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
}

await listening(serving(await bundled()), inPage);
await main();
