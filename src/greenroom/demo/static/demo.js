/** The page to try: two viewers of one room, with tokens from the service that shows the page. */

import "./greenroom-chat.js";

const MOST_FRAMES = 100;
const here = new URL(".", location.href);
const service = new URL("..", here);
service.protocol = service.protocol.replace("http", "ws");

const MAY = {
  alice: ["SEND_MESSAGE", "DELETE_MESSAGE", "DISCONNECT_USER"],
  bob: ["SEND_MESSAGE"],
};

async function tokenOf(userId) {
  const answer = await fetch(new URL("token", here), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ userId, capabilities: MAY[userId] }),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.message);
  return said;
}

const frames = document.getElementById("frames");

function show(user, { sent, text }) {
  const line = document.createElement("p");
  line.textContent = `${user} ${sent ? "→" : "←"} ${text}`;
  frames.append(line);
  while (frames.children.length > MOST_FRAMES) frames.firstElementChild.remove();
  frames.scrollTop = frames.scrollHeight;
}

for (const chat of document.querySelectorAll("greenroom-chat")) {
  chat.addEventListener("frame", ({ detail }) => show(chat.id, detail));
  chat.setAttribute("url", service.href);
  chat.tokenProvider = () => tokenOf(chat.id);
}
