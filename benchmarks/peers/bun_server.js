// Bun's own WebSocket server (uWebSockets inside), with its publish and subscribe; with the files of
// a certificate and its key over TLS.
const [port, certificate, key] = process.argv.slice(2);

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  tls: certificate ? { cert: Bun.file(certificate), key: Bun.file(key) } : undefined,
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
