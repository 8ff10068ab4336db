/**
 * Cases of one program, in Node and in a page: declared with `test`, run one after another by `run`.
 *
 * Each case gets a region of its own, so that it sees no room of another case.
 */

const CASE_SECONDS = 30;
const declared = [];
const chats = [];

/** What the driver said: endpoint, websocketUrl, accessKeyId, secretAccessKey, account, program. */
export const settings = globalThis.SETTINGS ?? JSON.parse(globalThis.process.env.SETTINGS);

/** Calls an operation by its name with the client under test: `call(region, "GetRoom", {...})`. */
export let call;

export function use(caller) {
  call = caller;
}

export function test(name, body) {
  declared.push({ name, body });
}

/** Runs all cases and hands `{name, error}` of each to `report`; an error of null is success. */
export async function run(report) {
  for (const [index, { name, body }] of declared.entries()) {
    let error = null;
    let timer;
    const overdue = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("does not end")), CASE_SECONDS * 1000);
    });
    try {
      await Promise.race([body(`${settings.program}-${index}`), overdue]);
    } catch (thrown) {
      error = `${thrown?.stack ?? thrown}`;
    }
    clearTimeout(timer);
    for (const chat of chats.splice(0)) chat.close();
    await report({ name, error });
  }
}

/** Runs a Node program: one line of JSON for each case, and no waiting for idle connections. */
export async function main() {
  const { process } = globalThis;
  await run((outcome) => process.stdout.write(`${JSON.stringify(outcome)}\n`));
  process.exit();
}

// ------------------------------------------------------------------------------------ assertions

export function equal(actual, expected, what = "the value") {
  const [is, wanted] = [shown(actual), shown(expected)];
  if (is !== wanted) throw new Error(`${what} is\n  ${is}\nand not\n  ${wanted}`);
}

export function matches(actual, pattern, what = "the value") {
  if (!pattern.test(actual)) throw new Error(`${what} is ${shown(actual)}, not like ${pattern}`);
}

export function holds(condition, what) {
  if (!condition) throw new Error(`does not hold: ${what}`);
}

/** Returns the error of a promise that must be rejected, and checks what of it is given. */
export async function refused(promise, name, expected = {}) {
  const error = await promise.then(
    (answer) => {
      throw new Error(`answered ${shown(answer)}, not ${name}`);
    },
    (thrown) => thrown,
  );
  if (error.name !== name) throw error;
  holds(error.message, "the error has a message");
  for (const [member, value] of Object.entries(expected)) {
    const is = member === "status" ? statusOf(error) : error[member];
    equal(is, value, `${member} of the ${name}`);
  }
  return error;
}

function statusOf(error) {
  return error.statusCode ?? error.$metadata.httpStatusCode;
}

/** Writes a value so that equal ones, whatever the order of their members, look equal. */
function shown(value) {
  if (value instanceof Date) return `Date(${value.toISOString()})`;
  if (Array.isArray(value)) return `[${value.map(shown).join(", ")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "undefined";
  const members = Object.keys(value).sort();
  return `{${members.map((name) => `${name}: ${shown(value[name])}`).join(", ")}}`;
}

// -------------------------------------------------------------------------------- the chat itself

/** Opens a chat connection until the case ends; `next()` waits for a frame, `closed` for the end. */
export async function join(token, url = settings.websocketUrl) {
  const socket = new globalThis.WebSocket(url, token);
  chats.push(socket);
  const frames = [];
  const waiting = [];
  socket.addEventListener("message", ({ data }) => {
    const frame = JSON.parse(data);
    if (waiting.length) waiting.shift()(frame);
    else frames.push(frame);
  });
  const closed = new Promise((resolve) => {
    socket.addEventListener("close", ({ code, reason }) => resolve({ code, reason }));
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", () => reject(new Error("the chat refused the token")));
  });
  return {
    closed,
    next: () =>
      frames.length
        ? Promise.resolve(frames.shift())
        : new Promise((resolve) => waiting.push(resolve)),
    send: (frame) => socket.send(JSON.stringify(frame)),
  };
}
