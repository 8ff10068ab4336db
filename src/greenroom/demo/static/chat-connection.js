/**
 * The IVS Chat Messaging API over the browser's own WebSocket: connect with a chat token, send,
 * delete, disconnect users, and come back after an interruption. Needs nothing else.
 *
 * It dispatches these events, with what is named in `detail`:
 *   state    {state, reason}: "connecting", "connected", "waiting" for the next attempt, "ended"
 *   message  a frame of the type MESSAGE: {Id, Content, Attributes, SendTime, Sender}
 *   event    a frame of the type EVENT: {Id, EventName, Attributes, SendTime}
 *   frame    {sent, text}: each frame as it went over the line
 */

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const ANSWER_MS = 10_000;
/** An ERROR with this code, which no request asked for: the session is over, a new one may begin. */
const SESSION_OVER = 401;

/** A request that the service refused, or that went unanswered: then `code` is 0. */
export class ChatRefused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class ChatConnection extends EventTarget {
  #url;
  #provide;
  #socket = null;
  #pending = new Map();
  #requests = 0;
  /** Everybody is shown a request's id with its outcome: no other viewer may have the same ones. */
  #mine = crypto.getRandomValues(new Uint32Array(2)).join("-");
  #failures = 0;
  #timer = 0;
  #attempt = 0;
  #wanted = false;
  #sessionOver = false;

  /**
   * @param {string} url - where the service is: ws://127.0.0.1:8470/
   * @param {() => Promise<{token: string}>} provide - asked for a token before each connection, as
   *     a chat token is good once; a page gets it from its own backend
   */
  constructor(url, provide) {
    super();
    this.#url = url;
    this.#provide = provide;
  }

  connect() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#failures = 0;
    this.#open();
  }

  disconnect() {
    this.#end("you left");
  }

  /** Resolves with the message when everybody has been shown it. */
  send(content, attributes) {
    return this.#request({ Action: "SEND_MESSAGE", Content: content, Attributes: attributes });
  }

  delete(id, reason) {
    return this.#request({ Action: "DELETE_MESSAGE", Id: id, Reason: reason });
  }

  kick(userId, reason) {
    return this.#request({ Action: "DISCONNECT_USER", UserId: userId, Reason: reason });
  }

  #request(action) {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new ChatRefused(0, "not connected"));
    }
    const RequestId = `${this.#mine}-${++this.#requests}`;
    const text = JSON.stringify({ ...action, RequestId });
    this.#socket.send(text);
    this.#tell("frame", { sent: true, text });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(RequestId, "no answer came"), ANSWER_MS);
      this.#pending.set(RequestId, { resolve, reject, timer });
    });
  }

  /** Ends a request: with an entity, or with why there is none. */
  #settle(id, entity) {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    if (typeof entity === "string") pending.reject(new ChatRefused(0, entity));
    else if (entity.Type !== "ERROR") pending.resolve(entity);
    else pending.reject(new ChatRefused(entity.ErrorCode, entity.ErrorMessage));
  }

  #settleAll(reason) {
    for (const id of [...this.#pending.keys()]) this.#settle(id, reason);
  }

  async #open() {
    const attempt = ++this.#attempt;
    const isStale = () => !this.#wanted || attempt !== this.#attempt;
    this.#state("connecting");
    let token;
    try {
      ({ token } = await this.#provide());
      if (typeof token !== "string") throw new TypeError("what was provided has no text `token`");
    } catch (error) {
      if (!isStale()) this.#tryLater(`no token: ${error?.message ?? error}`);
      return;
    }
    if (isStale()) return;
    let socket;
    try {
      socket = new WebSocket(this.#url, token);
    } catch {
      // The browser's own words may quote the token.
      this.#tryLater("no connection: the URL is none, or the token has characters that none has");
      return;
    }
    this.#socket = socket;
    this.#sessionOver = false;
    socket.addEventListener("open", () => {
      this.#failures = 0;
      this.#state("connected");
    });
    socket.addEventListener("message", ({ data }) => {
      if (socket === this.#socket) this.#receive(data);
    });
    socket.addEventListener("close", (closed) => this.#closed(socket, closed));
  }

  #receive(text) {
    this.#tell("frame", { sent: false, text });
    const entity = JSON.parse(text);
    if (entity.Type === "MESSAGE") this.#tell("message", entity);
    if (entity.Type === "EVENT") this.#tell("event", entity);
    if (entity.Type === "ERROR" && entity.ErrorCode === SESSION_OVER) this.#sessionOver = true;
    if (entity.RequestId) this.#settle(entity.RequestId, entity);
  }

  /** A close that is clean is meant: by a moderator. All else is an interruption. */
  #closed(socket, { wasClean, reason }) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    this.#settleAll("the connection broke");
    if (!this.#wanted) return;
    if (wasClean && !this.#sessionOver) this.#end(reason || "the service closed the connection");
    else if (this.#sessionOver) this.#open();
    else this.#tryLater("the connection broke");
  }

  /** Waits twice as long each time, and some of it by chance: not everybody is to come at once. */
  #tryLater(reason) {
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures++);
    this.#state("waiting", reason);
    this.#timer = setTimeout(() => this.#open(), longest * (0.5 + Math.random() / 2));
  }

  #end(reason) {
    if (!this.#wanted) return;
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = null;
    this.#settleAll(reason);
    this.#state("ended", reason);
  }

  #state(state, reason = "") {
    this.#tell("state", { state, reason });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
