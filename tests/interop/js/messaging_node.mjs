// The messaging SDK in Node, whose WebSocket is that of `ws`: messages are lines of JSON.

import { createInterface } from 'node:readline';
import { WebSocket } from 'ws';
import { serveRooms } from './messaging_rooms.mjs';

globalThis.WebSocket = WebSocket;
const receive = serveRooms((message) => process.stdout.write(`${JSON.stringify(message)}\n`));
createInterface({ input: process.stdin })
  .on('line', (line) => receive(JSON.parse(line)))
  .on('close', () => process.exit());
