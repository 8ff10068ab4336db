/** Uses the page of `greenroom serve --demo` in Chromium, as two people and as pages of others do. */

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import net from "node:net";
import { createRequire } from "node:module";

import puppeteer from "puppeteer-core";

import { equal, holds, run, settings, test } from "./harness.mjs";
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
  // Names of others that lead to this machine.
  "--host-resolver-rules=MAP *.test 127.0.0.1",
];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const MOST_BYTES = 30_000;

const complaints = [];
const requested = new Map();
let links;
let page;
let browser;

/** Passes connections on to the service, so that they can be broken. */
function passing() {
  const { hostname, port } = new URL(settings.endpoint);
  const open = new Set();
  const server = net.createServer((socket) => {
    const onward = net.connect(Number(port), hostname);
    for (const [one, other] of [[socket, onward], [onward, socket]]) {
      open.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy() && open.delete(one));
      one.pipe(other);
    }
  });
  return { server, cut: () => open.forEach((socket) => socket.destroy()) };
}

/** What the service speaks: `http:`, or `https:` where the tests are run over TLS. */
function scheme() {
  return new URL(settings.endpoint).protocol;
}

async function opened(origin) {
  const made = await browser.newPage();
  made.on("pageerror", (error) => complaints.push(error.stack));
  made.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
  made.on("response", async (response) => {
    requested.set(response.url(), await response.buffer().then(({ length }) => length, () => 0));
  });
  await made.setViewport({ width: 1000, height: 720 });
  await made.goto(`${origin}/demo/`);
  return made;
}

/** Waits until a viewer's element has a text in a part of it. */
function shows(viewer, part, text) {
  const there = (viewer, part, text) =>
    [...document.getElementById(viewer).shadowRoot.querySelectorAll(part)].some((element) =>
      element.textContent.includes(text),
    );
  return page.waitForFunction(there, { timeout: 15_000 }, viewer, part, text);
}

function handle(viewer, part) {
  return page.waitForSelector(`#${viewer} >>> ${part}`);
}

async function say(viewer, text) {
  await (await handle(viewer, "input")).focus();
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
}

function connected() {
  return Promise.all(["alice", "bob"].map((viewer) => shows(viewer, ".state", "Connected")));
}

async function press(viewer, text, name) {
  const pressing = (viewer, text, name) => {
    const items = [...document.getElementById(viewer).shadowRoot.querySelectorAll("li")];
    const item = items.find((each) => each.textContent.includes(text));
    [...item.querySelectorAll("button")].find((each) => each.textContent === name).click();
  };
  await page.evaluate(pressing, viewer, text, name);
}

/** What axe-core finds wrong: its rules, and where. */
async function violations() {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  return found.violations.map(({ id, nodes }) => [id, ...nodes.map(({ target }) => target.join(" "))]);
}

test("both viewers see what one of them says", async () => {
  await connected();
  await say("alice", "Hello <b>Bob</b>");
  await shows("bob", "li", "Hello <b>Bob</b>");
  await say("bob", "Hello Alice");
  await shows("alice", "li", "Hello Alice");
  await shows("bob", "li", "Hello Alice");
});

test("a message that is refused is told, and stays to be changed", async () => {
  const input = await handle("bob", "input");
  await input.evaluate((element) => {
    element.value = "x".repeat(501);
  });
  await input.focus();
  await page.keyboard.press("Enter");
  await shows("bob", ".problem", "Message exceeds maximum length");
  equal(await input.evaluate((element) => element.value.length), 501);
  await input.evaluate((element) => {
    element.value = "";
  });
  await say("bob", "Shorter");
  await shows("alice", "li", "Shorter");
  equal(await page.evaluate(() => document.getElementById("bob").shadowRoot.querySelector(".problem").textContent), "");
});

test("a moderator deletes a message for both", async () => {
  await say("bob", "spam");
  await shows("alice", "li", "spam");
  await press("alice", "spam", "Delete");
  await shows("alice", "li", "message deleted");
  await shows("bob", "li", "message deleted");
  holds(!(await page.$("#bob >>> .tools")), "only the moderator has what moderators do");
});

test("it is accessible in light and dark, wide and narrow", async () => {
  await page.screenshot({ path: `${settings.directory}/light.png` });
  await page.click("summary");
  for (const [scheme, width] of [["light", 1000], ["dark", 1000], ["dark", 360]]) {
    await page.emulateMediaFeatures([
      { name: "prefers-color-scheme", value: scheme },
      { name: "prefers-reduced-motion", value: "reduce" }, // colours are looked at as they stay
    ]);
    await page.setViewport({ width, height: 720 });
    await page.screenshot({ path: `${settings.directory}/${scheme}-${width}.png`, fullPage: true });
    equal(await violations(), [], `what is wrong in ${scheme} at ${width}`);
  }
  await page.emulateMediaFeatures([]);
  await page.setViewport({ width: 1000, height: 720 });
});

test("the keyboard reaches everything, and one sees where it is", async () => {
  await page.evaluate(() => document.activeElement.blur());
  await page.focus("summary");
  const seen = [];
  for (let count = 0; count < 6; count += 1) {
    await page.keyboard.down("Shift");
    await page.keyboard.press("Tab");
    await page.keyboard.up("Shift");
    seen.push(
      await page.evaluate(() => {
        const host = document.activeElement;
        const inner = host.shadowRoot?.activeElement ?? host;
        const { outlineStyle, outlineWidth } = getComputedStyle(inner);
        return `${host.id} ${inner.className || inner.localName}: ${outlineStyle} ${outlineWidth}`;
      }),
    );
  }
  holds(seen.some((each) => each.startsWith("bob input: solid 3px")), `the field: ${seen}`);
  holds(seen.some((each) => each.startsWith("bob button: solid 3px")), `the button: ${seen}`);
  holds(seen.some((each) => each.startsWith("bob log: solid 3px")), `the messages: ${seen}`);
});

test("who wants no motion has none", async () => {
  const item = await handle("alice", "li");
  const moves = () => item.evaluate((element) => getComputedStyle(element).animationName);
  equal(await moves(), "come");
  await page.emulateMediaFeatures([{ name: "prefers-reduced-motion", value: "reduce" }]);
  equal(await moves(), "none");
  await page.emulateMediaFeatures([]);
});

test("who is disconnected is told, and may come back", async () => {
  await press("alice", "Hello Alice", "Kick");
  await shows("bob", ".state", "Disconnected");
  await shows("alice", "li", "bob was disconnected");
  const again = await handle("bob", ".head button");
  await again.click();
  await connected();
  await say("bob", "back again");
  await shows("alice", "li", "back again");
});

test("an interruption is survived, and nothing that was written is lost", async () => {
  const before = complaints.length;
  await page.evaluate(() => {
    globalThis.states = [];
    const remember = ({ detail }) => globalThis.states.push(detail.state);
    document.getElementById("alice").addEventListener("state", remember);
  });
  links.cut();
  // It may be connected again before anybody looks.
  await page.waitForFunction(() => globalThis.states.includes("waiting"), { timeout: 15_000 });
  const input = await handle("alice", "input");
  await input.focus();
  await page.keyboard.type("after the interruption");
  await connected();
  await page.keyboard.press("Enter");
  await shows("bob", "li", "after the interruption");
  complaints.length = before;
});

test("nothing is loaded from elsewhere, and it is small", async () => {
  const elsewhere = [...requested.keys()].filter((url) => !url.startsWith(settings.origin));
  equal(elsewhere, []);
  const files = new Map([...requested].filter(([url]) => !url.endsWith("/token")));
  const bytes = [...files.values()].reduce((sum, each) => sum + each, 0);
  holds(bytes > 5_000 && bytes < MOST_BYTES, `${bytes} bytes`);
  equal(complaints, [], "what the browser complains of");
});

test("no page of others is given a token", async () => {
  const wish = async (url) => {
    const asked = { method: "POST", body: '{"userId":"eve"}' };
    return fetch(url, asked).then((answer) => answer.text(), () => "unreadable");
  };
  const blank = createServer((_, response) => {
    response.setHeader("Content-Type", "text/html").end("<!doctype html>");
  });
  await listening(blank, async (port) => {
    const other = await browser.newPage();
    const { port: own } = new URL(settings.origin);
    await other.goto(`http://127.0.0.1:${port}/`);
    equal(await other.evaluate(wish, `${settings.origin}/demo/token`), "unreadable");
    // A name whose address has become this machine's: the browser takes it for the same origin.
    const rebound = await other.goto(`${scheme()}//evil.test:${own}/demo/`);
    equal(rebound.status(), 403);
    const said = await other.evaluate(wish, "/demo/token");
    holds(said.startsWith("the demo is for a browser on its machine"), said);
    await other.close();
  });
});

links = passing();
await listening(links.server, async (port) => {
  settings.origin = `${scheme()}//127.0.0.1:${port}`;
  browser = await puppeteer.launch({ executablePath: settings.chromium, args: FLAGS });
  try {
    page = await opened(settings.origin);
    await run((outcome) => process.stdout.write(`${JSON.stringify(outcome)}\n`));
  } finally {
    await browser.close();
  }
});
process.exit();
