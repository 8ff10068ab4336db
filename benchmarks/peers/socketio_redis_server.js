// Socket.IO on Node as one of several: every message to every connection of each of them, by Redis.
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [port, redis] = process.argv.slice(2).map(Number);
const publisher = createClient({ url: `redis://127.0.0.1:${redis}` });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const server = new Server({
  adapter: createAdapter(publisher, subscriber),
  transports: ["websocket"],
});
server.on("connection", (socket) => {
  socket.on("message", (message) => server.emit("message", message));
});
server.listen(port);
