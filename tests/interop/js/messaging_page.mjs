// What the page loads: the messaging SDK with the browser's own WebSocket.

import { serveRooms } from './messaging_rooms.mjs';

const receive = serveRooms((message) => globalThis.sendToTest(JSON.stringify(message)));
globalThis.receiveFromTest = (line) => receive(JSON.parse(line));
