// The demo page's connection over a WebSocket that only this program moves: what goes wrong is told.
import { equal, run, settings, test } from "./harness.mjs";

const HIDDEN = "secret token";
const unhandled = [];
process.on("unhandledRejection", (error) => unhandled.push(String(error)));

class Socket extends EventTarget {
  static OPEN = 1;
  static last = null;
  readyState = 1;

  constructor(_url, token) {
    super();
    if (/[^!-~]/.test(token)) throw new SyntaxError(`The subprotocol '${token}' is invalid`);
    Socket.last = this;
  }

  send() {}
  close() {}
}
globalThis.WebSocket = Socket;

const { ChatConnection } = await import(settings.module);

/** A connection, and what it told of itself; resolves when it came to a state. */
async function until(state, provide) {
  const connection = new ChatConnection("ws://h/", provide);
  const told = [];
  await new Promise((resolve) => {
    connection.addEventListener("state", ({ detail }) => {
      told.push(detail);
      if (detail.state === state) resolve();
    });
    connection.connect();
    setTimeout(() => Socket.last?.dispatchEvent(new Event("open")), 1);
  });
  return { connection, told };
}

test("a token that is none is told, without it, and another one asked for", async () => {
  for (const answer of [{ token: HIDDEN }, {}, null]) {
    const { connection, told } = await until("waiting", async () => answer);
    equal(told.at(-1).reason.startsWith("no "), true);
    equal(told.at(-1).reason.includes(HIDDEN), false);
    connection.disconnect();
  }
  const { connection, told } = await until("waiting", () => Promise.reject());
  equal(told.at(-1).reason, "no token: undefined");
  connection.disconnect();
  equal(unhandled, []);
});

test("who leaves gets an end to what he asked for, and no frames any more", async () => {
  const { connection } = await until("connected", async () => ({ token: "t" }));
  const frames = [];
  const sent = connection.send("hello").catch((error) => error.message);
  connection.addEventListener("message", ({ detail }) => frames.push(detail));
  connection.disconnect();
  equal(await sent, "you left");
  Socket.last.dispatchEvent(Object.assign(new Event("message"), { data: '{"Type": "MESSAGE"}' }));
  equal(frames, []);
  equal(await connection.send("more").catch((error) => error.message), "not connected");
});

await run((outcome) => process.stdout.write(`${JSON.stringify(outcome)}\n`));
