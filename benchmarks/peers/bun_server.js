// Bun's own WebSocket server (uWebSockets inside), with its publish and subscribe.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response("not a WebSocket", { status: 400 });
  },
  websocket: {
    open(connection) {
      connection.subscribe("room");
    },
    message(_connection, message) {
      server.publish("room", message);
    },
  },
});
