/** The 17 operations through the AWS SDK for JavaScript v2, and its ways to call them. */

import { equal, holds, main, matches, refused, test } from "./harness.mjs";
import "./operations.mjs";
import { client, endpoint } from "./v2_client.mjs";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

test("A callback gets the answer or the error, with the request's id", async (region) => {
  const [error, data, id] = await new Promise((resolve) => {
    client(region).listRooms({}, function (error, data) {
      resolve([error, data, this.requestId]);
    });
  });
  equal([error, data], [null, { rooms: [] }]);
  matches(id, UUID, "the request id");
  const failure = await new Promise((resolve) => {
    client(region).getRoom({ identifier: "nothing" }, (error) => resolve(error));
  });
  equal([failure.code, failure.statusCode], ["ValidationException", 400]);
  matches(failure.requestId, UUID, "the request id of the error");
});

test("A request sends its events in order", async (region) => {
  const events = [];
  await new Promise((resolve) => {
    const request = client(region).createRoom({ name: "evented" });
    for (const name of ["success", "error", "complete"]) request.on(name, () => events.push(name));
    request.on("httpHeaders", (status) => events.push(status));
    request.on("complete", resolve);
    request.send();
  });
  equal(events, [200, "success", "complete"]);
});

test("The two deletes answer with status 204 and no body", async (region) => {
  const { arn } = await client(region).createRoom().promise();
  const made = await client(region)
    .createLoggingConfiguration({ destinationConfiguration: { s3: { bucketName: "bucket" } } })
    .promise();
  for (const [method, identifier] of [
    ["deleteRoom", arn],
    ["deleteLoggingConfiguration", made.arn],
  ]) {
    const { $response } = await client(region)[method]({ identifier }).promise();
    equal($response.httpResponse.statusCode, 204);
    equal($response.httpResponse.body.length, 0);
  }
});

test("eachPage walks ListRooms while rooms change between its pages", async (region) => {
  const ivschat = client(region);
  const made = {};
  for (const name of ["a", "b", "c", "d", "e"]) {
    made[name] = (await ivschat.createRoom({ name }).promise()).arn;
  }
  const seen = [];
  await new Promise((resolve, reject) => {
    ivschat.listRooms({ maxResults: 2 }).eachPage(async (error, page, next) => {
      if (error) return reject(error);
      if (!page) return resolve();
      seen.push(page.rooms.map((room) => room.name));
      if (seen.length === 1) {
        await ivschat.createRoom({ name: "late" }).promise();
        await ivschat.updateRoom({ identifier: made.e, maximumMessageLength: 5 }).promise();
        await ivschat.deleteRoom({ identifier: made.c }).promise();
      }
      return next();
    });
  });
  equal(seen, [["e", "d"], ["b", "a"]]);
});

test("eachPage walks ListLoggingConfigurations", async (region) => {
  const ivschat = client(region);
  for (const name of ["a", "b", "c"]) {
    const destinationConfiguration = { s3: { bucketName: "bucket" } };
    await ivschat.createLoggingConfiguration({ name, destinationConfiguration }).promise();
  }
  const seen = [];
  await new Promise((resolve, reject) => {
    ivschat.listLoggingConfigurations({ maxResults: 1 }).eachPage((error, page) => {
      if (error) reject(error);
      else if (page) seen.push(page.loggingConfigurations.map((made) => made.name));
      else resolve();
    });
  });
  equal(seen, [["c"], ["b"], ["a"]]);
});

test("The stream of a request is the answer's body", async (region) => {
  const chunks = [];
  for await (const chunk of client(region).listRooms().createReadStream()) chunks.push(chunk);
  equal(JSON.parse(Buffer.concat(chunks)), { rooms: [] });
});

test("makeUnauthenticatedRequest is refused as unsigned", async (region) => {
  const request = client(region).makeUnauthenticatedRequest("listRooms", {});
  await refused(request.promise(), "MissingAuthenticationTokenException", { status: 403 });
});

test("A presigned ListTagsForResource works from any HTTP client", async (region) => {
  const { arn } = await client(region).createRoom({ tags: { a: "b" } }).promise();
  const request = client(region).listTagsForResource({ resourceArn: arn });
  const url = await request.presign(60);
  holds(url.startsWith(`${endpoint}/tags/`), "the URL is the service's");
  const answer = await fetch(url);
  equal([answer.status, await answer.json()], [200, { tags: { a: "b" } }]);
  const forged = await fetch(url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"));
  equal(forged.headers.get("x-amzn-errortype"), "InvalidSignatureException");
});

test("A presigned POST works with the body that was signed, and no other", async (region) => {
  const body = JSON.stringify({ name: "presigned" });
  const url = await client(region).createRoom({ name: "presigned" }).presign(60);
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(url, { method: "POST", headers, body });
  equal([answer.status, (await answer.json()).name], [200, "presigned"]);
  const other = await fetch(url, { method: "POST", headers, body: `${body} ` });
  equal((await other.json()).__type, "InvalidSignatureException");
});

test("A presigned request is refused after its time", async (region) => {
  const ivschat = client(region);
  ivschat.config.systemClockOffset = -120_000;
  const url = await ivschat.listRooms().presign(60);
  const answer = await fetch(url, { method: "POST", body: "{}" });
  equal([answer.status, (await answer.json()).__type], [400, "RequestExpired"]);
});

test("A body over the limit is refused with its own error, not a broken connection", async (region) => {
  const attributes = { huge: "x".repeat(4_000_000) };
  const request = client(region, { maxRetries: 0 }).sendEvent({
    roomIdentifier: "any",
    eventName: "any",
    attributes,
  });
  await refused(request.promise(), "RequestEntityTooLargeException", { status: 413 });
});

await main();
