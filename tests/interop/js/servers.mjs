/** Small servers that stand between a client and the service, each gone after its use. */

import http from "node:http";
import net from "node:net";

/** Runs `body(port, server)` while the server listens. */
export async function listening(server, body) {
  const sockets = new Set();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await body(server.address().port);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Passes connections on to the service, but never answers the first `stalled` ones. */
export function stalling(endpoint, stalled) {
  const { hostname, port } = new URL(endpoint);
  const seen = { connections: 0 };
  const server = net.createServer((socket) => {
    seen.connections += 1;
    if (seen.connections <= stalled) return;
    const onward = net.connect(Number(port), hostname);
    onward.on("error", () => socket.destroy());
    socket.on("close", () => onward.destroy());
    socket.pipe(onward).pipe(socket);
  });
  return { server, seen };
}

/** Answers requests with `answer(request)`: a status and headers. */
export function answering(answer) {
  const seen = { requests: 0 };
  const server = http.createServer((request, response) => {
    seen.requests += 1;
    request.resume().on("end", () => {
      const { status, headers } = answer(request);
      response.writeHead(status, headers).end();
    });
  });
  return { server, seen };
}

/** An HTTP proxy: takes requests whose target is a whole URL, and forwards all to the service. */
export function forwarding(endpoint) {
  const { hostname, port } = new URL(endpoint);
  const targets = [];
  const server = http.createServer((request, response) => {
    targets.push(request.url);
    const { pathname, search } = new URL(request.url);
    const onward = http.request(
      { hostname, port, method: request.method, path: pathname + search, headers: request.headers },
      (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      },
    );
    request.pipe(onward);
  });
  return { server, targets };
}

/** A reverse proxy that cuts a path off before it passes requests on, with the Host as it came. */
export function cutting(endpoint, path) {
  const { hostname, port } = new URL(endpoint);
  return http.createServer((request, response) => {
    const cut = request.url.startsWith(path) ? request.url.slice(path.length) || "/" : request.url;
    const onward = http.request(
      { hostname, port, method: request.method, path: cut, headers: request.headers },
      (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      },
    );
    request.pipe(onward);
  });
}
