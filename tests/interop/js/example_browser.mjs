/** Opens the page of `examples/browser` twice in Chromium, and has the two chat. */

import puppeteer from "puppeteer-core";

import { equal, holds, run, settings, test } from "./harness.mjs";

const complaints = [];
let pages;

async function opened(browser) {
  const page = await browser.newPage();
  page.on("pageerror", (error) => complaints.push(error.stack));
  page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
  await page.goto(settings.page);
  await shows(page, "#state", "Connected");
  return page;
}

function shows(page, part, text) {
  const there = (part, text) => document.querySelector(part).textContent.includes(text);
  return page.waitForFunction(there, { timeout: 15_000, polling: 50 }, part, text);
}

async function say(page, text) {
  await page.focus("#text");
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
}

test("two visitors chat with Amazon's SDK from a bundle", async () => {
  const [one, other] = pages;
  await say(one, "Hello");
  await shows(other, "#log", "visitor-1: Hello");
  await say(other, "Hello back");
  await shows(one, "#log", "visitor-2: Hello back");
  await one.screenshot({ path: `${settings.directory}/example.png` });
  equal(complaints, []);
});

test("a page of others is given no token", async () => {
  const asked = { method: "POST", headers: { Origin: "http://evil.test" } };
  equal((await fetch(new URL("/token", settings.page), asked)).status, 403);
  holds((await fetch(new URL("/token", settings.page), { method: "POST" })).status === 403, "nor who has none");
});

const args = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--no-proxy-server"];
const browser = await puppeteer.launch({ executablePath: settings.chromium, args });
try {
  pages = [await opened(browser), await opened(browser)];
  await run((outcome) => process.stdout.write(`${JSON.stringify(outcome)}\n`));
} finally {
  await browser.close();
}
process.exit();
