/** The 17 operations through the AWS SDK for JavaScript v3 in Node. */

import http from "node:http";

import { WebSocket } from "ws";

import { equal, holds, main, refused, settings, test } from "./harness.mjs";
import { listening, stalling } from "./servers.mjs";
import "./operations.mjs";
import { client, endpoint, sdk, send } from "./v3_client.mjs";
import "./v3_pages.mjs";

globalThis.WebSocket ??= WebSocket;

test("requestHandler: an agent of one's own keeps one connection", async (region) => {
  const httpAgent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set();
  httpAgent.on("free", (socket) => ports.add(socket.localPort));
  const kept = client(region, { requestHandler: { httpAgent } });
  const { arn } = await send(kept, "CreateRoom", {});
  await send(kept, "TagResource", { resourceArn: arn, tags: { a: "b" } });
  await send(kept, "UntagResource", { resourceArn: arn, tagKeys: ["a"] });
  await refused(send(kept, "GetRoom", { identifier: "nothing" }), "ValidationException");
  await send(kept, "DeleteRoom", { identifier: arn });
  await send(kept, "ListRooms", {});
  equal(ports.size, 1, "connections");
  kept.destroy();
});

test("requestHandler: a request that times out is tried again", async (region) => {
  const { server, seen } = stalling(endpoint, 1);
  await listening(server, async (port) => {
    const slow = client(region, {
      endpoint: `http://127.0.0.1:${port}`,
      requestHandler: { requestTimeout: 300, throwOnRequestTimeout: true },
      maxAttempts: 5,
    });
    const { $metadata } = await send(slow, "ListRooms", {});
    holds($metadata.attempts >= 2, "the first attempt timed out");
    holds(seen.connections >= 2, "a second connection was made");
  });
});

test("endpoint: from the environment, for the service and for all", async (region) => {
  for (const name of ["AWS_ENDPOINT_URL_IVSCHAT", "AWS_ENDPOINT_URL"]) {
    process.env[name] = endpoint;
    try {
      equal((await send(client(region, { endpoint: undefined }), "ListRooms", {})).rooms, []);
    } finally {
      delete process.env[name];
    }
  }
});

test("credentials: from the environment", async (region) => {
  process.env.AWS_ACCESS_KEY_ID = settings.accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = settings.secretAccessKey;
  try {
    const { rooms } = await send(client(region, { credentials: undefined }), "ListRooms", {});
    equal(rooms, []);
  } finally {
    delete process.env.AWS_ACCESS_KEY_ID;
    delete process.env.AWS_SECRET_ACCESS_KEY;
  }
});

test("the client with a method for each operation works alike", async (region) => {
  const { accessKeyId, secretAccessKey } = settings;
  const credentials = { accessKeyId, secretAccessKey };
  const aggregated = new sdk.Ivschat({ endpoint, region, credentials });
  const { arn } = await aggregated.createRoom({ name: "method" });
  equal((await aggregated.getRoom({ identifier: arn })).name, "method");
  equal((await aggregated.deleteRoom({ identifier: arn })).$metadata.httpStatusCode, 204);
});

test("a body over the limit is refused with its own error, not a broken connection", async (region) => {
  const request = send(client(region, { maxAttempts: 1 }), "SendEvent", {
    roomIdentifier: "any",
    eventName: "any",
    attributes: { huge: "x".repeat(4_000_000) },
  });
  await refused(request, "RequestEntityTooLargeException", { status: 413 });
});

await main();
