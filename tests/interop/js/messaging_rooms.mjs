// Rooms of the official messaging SDK, driven by messages that a test sends: in Node and in a page.
//
// To here:    {call, do, room, ...}  one call on a room; answered by {call, value | refused | thrown}
//             {answer, value | refused}  the token that was asked for, or why there is none
// From here:  {ask, room}            the room's token provider was called
//             {room, event, value}   the room dispatched an event, or logged an error ("complaint")
//             {socket, event, value} a WebSocket of that URL opened or closed

import {
  ChatRoom,
  DeleteMessageRequest,
  DisconnectUserRequest,
  SendMessageRequest,
} from 'amazon-ivs-chat-messaging';

const EVENTS = [
  'connecting',
  'connect',
  'disconnect',
  'message',
  'event',
  'messageDelete',
  'userDisconnect',
];

/** Return the function that takes a message; `send` is called with each message from here. */
export function serveRooms(send) {
  const rooms = new Map();
  const asked = [];

  globalThis.WebSocket = class extends globalThis.WebSocket {
    constructor(url, protocols) {
      super(url, protocols);
      this.addEventListener('open', () => send({ socket: url, event: 'socketOpen' }));
      this.addEventListener('close', ({ code, reason, wasClean }) =>
        send({ socket: url, event: 'socketClose', value: { code, reason, wasClean } }),
      );
    }
  };

  const askForToken = (room) =>
    new Promise((resolve, reject) => send({ ask: asked.push({ resolve, reject }) - 1, room }));

  const calls = {
    open({ room: name, url, ...config }) {
      const room = new ChatRoom({
        regionOrUrl: url,
        tokenProvider: () => askForToken(name),
        ...config,
      });
      room.logLevel = 'error';
      room.logger = {
        error: (text) => send({ room: name, event: 'complaint', value: text }),
      };
      for (const event of EVENTS) {
        room.addListener(event, (value) => send({ room: name, event, value }));
      }
      rooms.set(name, room);
      room.connect();
    },
    send: ({ room, content, attributes }) =>
      rooms.get(room).sendMessage(new SendMessageRequest(content, attributes)),
    delete: ({ room, id, reason }) =>
      rooms.get(room).deleteMessage(new DeleteMessageRequest(id, reason)),
    kick: ({ room, userId, reason }) =>
      rooms.get(room).disconnectUser(new DisconnectUserRequest(userId, reason)),
    state: ({ room }) => rooms.get(room).state,
    close: ({ room }) => rooms.get(room).disconnect(),
  };

  return ({ call, do: name, answer, value, refused, ...details }) => {
    if (answer !== undefined) {
      if (refused === undefined) asked[answer].resolve(value);
      else asked[answer].reject(new Error(refused));
      return;
    }
    let result;
    try {
      result = calls[name](details);
    } catch (error) {
      send({ call, thrown: error.message });
      return;
    }
    Promise.resolve(result).then(
      (value) => send({ call, value }),
      (refused) => send({ call, refused }),
    );
  };
}
