/**
 * <greenroom-chat url="wss://chat.example.com/" label="Chat"></greenroom-chat>
 *
 * One viewer's chat, as a custom element. The page that embeds it says where tokens come from:
 *
 *   chat.tokenProvider = async () => (await fetch("/my/chat-token", { method: "POST" })).json();
 *
 * Attributes: `url`, of the service; `label`, its name for assistive technology and above the
 * messages; `moderator`, to offer what moderators may do, for tokens with those capabilities.
 * Methods: connect() and disconnect(). Its events are those of chat-connection.js, and it is styled
 * by the custom properties --chat-accent, --chat-surface, --chat-ink, --chat-muted and --chat-line.
 */

import { ChatConnection } from "./chat-connection.js";

const MOST_SHOWN = 200;
const LONGEST_MESSAGE = 500;
const AT_THE_END_PX = 40;

const STYLE = `
:host {
  --chat-accent: #5b3fd6; --chat-surface: #fff; --chat-ink: #1d1b26; --chat-muted: #5f5b70;
  --chat-line: #dcd9e6; --chat-hue: 65% 27%;
  display: flex; flex-direction: column; min-block-size: 16rem; overflow: hidden;
  background: var(--chat-surface); color: var(--chat-ink); border: 1px solid var(--chat-line);
  border-radius: .75rem; font: 1rem/1.45 system-ui, sans-serif;
}
@media (prefers-color-scheme: dark) {
  :host {
    --chat-accent: #b5a5ff; --chat-surface: #1c1a25; --chat-ink: #eeecf5; --chat-muted: #a9a4bd;
    --chat-line: #3a3649; --chat-hue: 70% 78%;
  }
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
.head, form { display: flex; gap: .5rem; align-items: center; padding: .6rem .8rem; }
.head { flex-wrap: wrap; border-block-end: 1px solid var(--chat-line); }
h2 { font-size: 1rem; margin: 0; flex: 1; }
.state { font-size: .85rem; color: var(--chat-muted); }
.state::before {
  content: ""; display: inline-block; inline-size: .55rem; block-size: .55rem; margin-inline-end: .4rem;
  border-radius: 50%; background: var(--chat-muted);
}
.state[data-state=connected]::before { background: #2b9a57; }
.state[data-state=ended]::before { background: #c93a3a; }
.log { flex: 1; overflow-y: auto; overscroll-behavior: contain; padding: .4rem .8rem; }
ol { list-style: none; margin: 0; padding: 0; }
li { position: relative; padding: .25rem 0; overflow-wrap: anywhere; }
li.note { color: var(--chat-muted); font-size: .85rem; }
b { color: hsl(var(--hue, 255) var(--chat-hue)); margin-inline-end: .4rem; }
time { color: var(--chat-muted); font-size: .75rem; margin-inline-start: .4rem; white-space: nowrap; }
.gone { color: var(--chat-muted); font-style: italic; }
.tools { position: absolute; inset: .1rem 0 auto auto; display: none; gap: .25rem; }
li:hover .tools, li:focus-within .tools { display: flex; }
@media (hover: none) { .tools { display: inline-flex; position: static; margin-inline-start: .5rem; } }
form { border-block-start: 1px solid var(--chat-line); }
input {
  flex: 1; min-inline-size: 0; padding: .5rem .7rem; font: inherit; color: inherit;
  background: transparent; border: 1px solid var(--chat-muted); border-radius: .5rem;
}
button {
  padding: .5rem .9rem; font: inherit; font-weight: 600; cursor: pointer; border: 0;
  border-radius: .5rem; color: var(--chat-surface); background: var(--chat-accent);
}
.tools button {
  padding: 0 .5rem; font-size: .75rem; font-weight: 400; line-height: 1.5rem; min-inline-size: 3.2rem;
  color: var(--chat-ink); background: var(--chat-surface); border: 1px solid var(--chat-muted);
}
button:disabled { cursor: default; opacity: .55; }
:focus-visible { outline: 3px solid var(--chat-accent); outline-offset: 2px; }
.log:focus-visible { outline-offset: -3px; }
.problem { margin: 0; padding: 0 .8rem .6rem; font-size: .85rem; }
.problem:empty { display: none; }
.problem::before { content: "⚠ "; }
.hidden { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); }
li { animation: come .2s ease-out; }
@keyframes come { from { opacity: 0; transform: translateY(.3rem); } }
@media (prefers-reduced-motion: reduce) { li { animation: none; } }
`;

const STATES = {
  connecting: "Connecting …",
  connected: "Connected",
  waiting: "Trying again …",
  ended: "Disconnected",
};

export class GreenroomChat extends HTMLElement {
  static observedAttributes = ["label", "moderator"];
  #parts;
  #provider = null;
  #connection = null;
  #messages = new Map();

  constructor() {
    super();
    this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    this.shadowRoot.adoptedStyleSheets = [sheet];
    this.#parts = parts();
    const { head, log, form, problem, send, again } = this.#parts;
    this.shadowRoot.append(head, log, form, problem);
    form.addEventListener("submit", (submitted) => {
      submitted.preventDefault();
      this.#say();
    });
    again.addEventListener("click", () => this.connect());
    send.disabled = true;
  }

  connectedCallback() {
    if (this.#provider) this.connect();
  }

  disconnectedCallback() {
    this.disconnect();
  }

  attributeChangedCallback() {
    const label = this.getAttribute("label") || "Chat";
    this.#parts.title.textContent = label;
    this.#parts.log.setAttribute("aria-label", `Messages: ${label}`);
    this.#parts.form.setAttribute("aria-label", `Write: ${label}`);
  }

  get tokenProvider() {
    return this.#provider;
  }

  /** Connects, if the element is on the page. */
  set tokenProvider(provider) {
    this.disconnect();
    this.#provider = provider;
    if (this.isConnected) this.connect();
  }

  connect() {
    if (!this.#provider) throw new Error("<greenroom-chat> needs a tokenProvider");
    const url = this.getAttribute("url");
    if (!url) throw new Error("<greenroom-chat> needs a url");
    this.disconnect();
    const connection = new ChatConnection(url, () => this.#provider());
    this.#connection = connection;
    for (const type of ["state", "message", "event", "frame"]) {
      connection.addEventListener(type, ({ detail }) => {
        if (connection === this.#connection) this.#take(type, detail);
      });
    }
    connection.connect();
  }

  disconnect() {
    this.#connection?.disconnect();
  }

  #take(type, detail) {
    if (type === "state") this.#show(detail);
    if (type === "message") this.#add(detail);
    if (type === "event") this.#happen(detail);
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #show({ state, reason }) {
    const { status, send, again } = this.#parts;
    status.dataset.state = state;
    status.textContent = state === "ended" && reason ? `${STATES[state]}: ${reason}` : STATES[state];
    send.disabled = state !== "connected";
    again.hidden = state !== "ended";
    if (state === "waiting") this.#complain(reason);
    if (state === "connected") this.#complain("");
  }

  async #say() {
    const { input } = this.#parts;
    const text = input.value.trim();
    if (!text) return;
    input.value = "";
    this.#complain("");
    try {
      await this.#connection.send(text);
    } catch (error) {
      this.#complain(error.message);
      // What was not sent is not lost, unless something else was begun meanwhile.
      if (!input.value) input.value = text;
    }
  }

  #add({ Id, Content, SendTime, Sender }) {
    const name = Sender.Attributes?.displayName || Sender.UserId;
    const who = make("b", { textContent: name });
    who.style.setProperty("--hue", hueOf(Sender.UserId));
    const text = make("span", { textContent: Content });
    const when = make("time", { dateTime: SendTime, textContent: hourOf(SendTime) });
    const item = make("li", {}, who, text, when);
    if (this.hasAttribute("moderator")) item.append(this.#tools(Id, Sender.UserId));
    this.#messages.set(Id, { item, text });
    this.#append(item);
  }

  #tools(id, user) {
    const remove = make("button", { type: "button", textContent: "Delete" });
    const kick = make("button", { type: "button", textContent: "Kick" });
    kick.title = `Disconnect ${user}`;
    const moderate = (request) => request.catch((error) => this.#complain(error.message));
    remove.addEventListener("click", () => moderate(this.#connection.delete(id)));
    kick.addEventListener("click", () => moderate(this.#connection.kick(user)));
    return make("span", { className: "tools" }, remove, kick);
  }

  #happen({ EventName, Attributes }) {
    if (EventName === "aws:DELETE_MESSAGE") this.#remove(Attributes.MessageId);
    else if (EventName === "aws:DISCONNECT_USER") this.#note(`${Attributes.UserId} was disconnected`);
    else this.#note(EventName);
  }

  #remove(id) {
    const message = this.#messages.get(id);
    if (!message) return;
    message.text.textContent = "message deleted";
    message.text.className = "gone";
    message.item.querySelector(".tools")?.remove();
  }

  #note(text) {
    this.#append(make("li", { className: "note", textContent: text }));
  }

  /** Shows an item, follows it if the reader is at the end, and forgets the oldest. */
  #append(item) {
    const { log, list } = this.#parts;
    const follows = log.scrollHeight - log.scrollTop - log.clientHeight < AT_THE_END_PX;
    list.append(item);
    while (list.children.length > MOST_SHOWN) list.firstElementChild.remove();
    while (this.#messages.size > MOST_SHOWN) this.#messages.delete(this.#messages.keys().next().value);
    if (follows) log.scrollTop = log.scrollHeight;
  }

  #complain(text) {
    this.#parts.problem.textContent = text;
  }
}

/** What the element consists of; nothing of it is ever made from a text with markup in it. */
function parts() {
  const title = make("h2", { textContent: "Chat" });
  const status = make("span", { className: "state", textContent: "Not connected", role: "status" });
  const again = make("button", { type: "button", textContent: "Connect", hidden: true });
  const list = make("ol", {});
  const log = make("div", { className: "log", role: "log", ariaLabel: "Messages", tabIndex: 0 }, list);
  const input = make("input", { id: "text", autocomplete: "off", maxLength: LONGEST_MESSAGE });
  input.placeholder = "Say something";
  const label = make("label", { className: "hidden", htmlFor: "text", textContent: "Message" });
  const send = make("button", { type: "submit", textContent: "Send" });
  const problem = make("p", { className: "problem", role: "alert" });
  const head = make("div", { className: "head" }, title, status, again);
  const form = make("form", {}, label, input, send);
  return { head, title, status, again, log, list, form, input, send, problem };
}

function make(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** The same colour for the same user, wherever he is seen. */
function hueOf(user) {
  let hue = 0;
  for (const character of user) hue = (hue * 31 + character.codePointAt(0)) % 360;
  return hue;
}

function hourOf(time) {
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

customElements.define("greenroom-chat", GreenroomChat);
