// The messaging SDK in a page in Chromium, served from an origin of its own: messages are lines of
// JSON. Arguments: the path of Chromium, a directory for what is temporary.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import puppeteer from 'puppeteer-core';

const [executablePath, directory] = process.argv.slice(2);
const bundle = join(directory, 'page.js');
await build({
  entryPoints: [fileURLToPath(new URL('messaging_page.mjs', import.meta.url))],
  bundle: true,
  format: 'esm',
  outfile: bundle,
});

const html = '<!doctype html><meta charset="utf-8"><script type="module" src="/page.js"></script>';
const files = {
  '/': ['text/html', html],
  '/page.js': ['text/javascript', readFileSync(bundle)],
};
const server = createServer((request, response) => {
  const [type, body] = files[request.url] ?? ['text/plain', ''];
  response.setHeader('Content-Type', type).end(body);
}).listen(0, 'localhost');
await new Promise((resolve) => server.once('listening', resolve));

const browser = await puppeteer.launch({
  executablePath,
  userDataDir: join(directory, 'profile'),
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--no-proxy-server',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const page = await browser.newPage();
page.on('pageerror', (error) => {
  throw error;
});
await page.exposeFunction('sendToTest', (line) => process.stdout.write(`${line}\n`));
await page.goto(`http://localhost:${server.address().port}/`, { waitUntil: 'load' });

createInterface({ input: process.stdin })
  .on('line', (line) => page.evaluate((text) => globalThis.receiveFromTest(text), line))
  .on('close', async () => {
    await browser.close();
    process.exit();
  });
