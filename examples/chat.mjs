// Connect with Amazon's own messaging SDK as a user of room.json, and say something.
import { readFileSync } from "node:fs";
import { ChatRoom, SendMessageRequest } from "amazon-ivs-chat-messaging";
import WebSocket from "ws";

function fail(why) {
  console.error(why);
  process.exit(1);
}

// A refused connection is answered with the reason, which the SDK does not see.
globalThis.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    this.on("unexpected-response", async (_request, answer) => {
      const body = (await answer.setEncoding("utf8").toArray()).join("");
      fail(`refused with ${answer.statusCode}: ${JSON.parse(body).ErrorMessage}`);
    });
  }
};

const [file, user, text] = process.argv.slice(2);
if (!text) fail("usage: chat.mjs room.json USER TEXT");
const details = JSON.parse(readFileSync(file, "utf8"));
if (!details[user]) fail(`${file} has no token of ${user}: room.py makes those of alice and bob`);

const room = new ChatRoom({
  regionOrUrl: details.url,
  tokenProvider: async () => ({ token: details[user] }),
});
room.logger = { debug() {}, info() {}, error: (_, event) => event?.message && fail(event.message) };
room.addListener("message", (message) => console.log(`${message.sender.userId}: ${message.content}`));
room.addListener("disconnect", (reason) => console.log(`disconnected: ${reason}`));
room.addListener("connect", async () => {
  try {
    const message = await room.sendMessage(new SendMessageRequest(text));
    console.log(`delivered as ${message.id}`);
    room.disconnect();
  } catch (error) {
    fail(error.errorMessage ?? error.message);
  }
});
room.connect();
