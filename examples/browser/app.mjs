// The page: Amazon's messaging SDK, unmodified, with a token from this application's backend.
import { ChatRoom, SendMessageRequest } from "amazon-ivs-chat-messaging";

const [state, log, form, text, problem] = ["state", "log", "form", "text", "problem"].map((id) =>
  document.getElementById(id),
);

const { websocketUrl } = await (await fetch("/config")).json();

async function tokenProvider() {
  const answer = await fetch("/token", { method: "POST" });
  if (!answer.ok) throw new Error(await answer.text());
  const { token, tokenExpirationTime, sessionExpirationTime } = await answer.json();
  return {
    token,
    tokenExpirationTime: new Date(tokenExpirationTime),
    sessionExpirationTime: new Date(sessionExpirationTime),
  };
}

function show(line) {
  const shown = document.createElement("p");
  shown.textContent = line;
  log.append(shown);
  log.scrollTop = log.scrollHeight;
}

const room = new ChatRoom({ regionOrUrl: websocketUrl, tokenProvider });
room.addListener("connecting", () => (state.textContent = "Connecting …"));
room.addListener("connect", () => (state.textContent = "Connected"));
room.addListener("disconnect", (reason) => (state.textContent = `Disconnected: ${reason}`));
room.addListener("message", ({ sender, content }) => show(`${sender.userId}: ${content}`));
room.addListener("event", ({ eventName }) => show(eventName));
room.connect();

form.addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  problem.textContent = "";
  try {
    await room.sendMessage(new SendMessageRequest(text.value));
    text.value = "";
  } catch (error) {
    problem.textContent = error.errorMessage ?? error.message;
  }
});
