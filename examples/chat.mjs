// Connect with Amazon's own messaging SDK as a user of room.json, and say something.
import { readFileSync } from "node:fs";
import { ChatRoom, SendMessageRequest } from "amazon-ivs-chat-messaging";
import WebSocket from "ws";

globalThis.WebSocket = WebSocket; // Node.js 22 and newer have their own
const [file, user, text] = process.argv.slice(2);
const details = JSON.parse(readFileSync(file, "utf8"));

const room = new ChatRoom({
  regionOrUrl: details.url,
  tokenProvider: async () => ({ token: details[user] }),
});
room.logLevel = "error";
room.addListener("message", (message) => console.log(`${message.sender.userId}: ${message.content}`));
room.addListener("disconnect", (reason) => console.log(`disconnected: ${reason}`));
room.addListener("connect", async () => {
  const message = await room.sendMessage(new SendMessageRequest(text));
  console.log(`delivered as ${message.id}`);
  room.disconnect();
});
room.connect();
