import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatRoom, SendMessageRequest } from "amazon-ivs-chat-messaging";
import WebSocket from "ws";
import { Show } from "./show.mjs";

globalThis.WebSocket ??= WebSocket; // Node.js 22 has one

const next = (room, name) => new Promise((resolve) => room.addListener(name, resolve));

async function enter(show, viewer) {
  const room = new ChatRoom({
    regionOrUrl: process.env.IVSCHAT_MESSAGING_URL,
    tokenProvider: () => show.token(viewer),
  });
  const connected = next(room, "connect");
  room.connect();
  await connected;
  return room;
}

test("viewers chat and see goals", async () => {
  const show = await Show.create("final");
  const [alice, bob] = [await enter(show, "alice"), await enter(show, "bob")];
  const [message, goal] = [next(bob, "message"), next(bob, "event")];
  await alice.sendMessage(new SendMessageRequest("hi"));
  await show.goal("blue");
  assert.equal((await message).content, "hi");
  assert.deepEqual((await goal).attributes, { team: "blue" });
  alice.disconnect();
  bob.disconnect();
});
