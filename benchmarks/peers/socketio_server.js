// Socket.IO on Node: every message to every connection; WebSocket is the only transport asked for.
import { Server } from "socket.io";

const server = new Server({ transports: ["websocket"] });
server.on("connection", (socket) => {
  socket.on("message", (message) => server.emit("message", message));
});
server.listen(Number(process.argv[2]));
