/** What the AWS SDK for JavaScript v3 adds to the operations: paginators, typed errors, skew. */

import { call, equal, holds, matches, refused, settings, test } from "./harness.mjs";
import { client, sdk, send } from "./v3_client.mjs";

const HOUR = 3_600_000;
const S3 = { s3: { bucketName: "bucket" } };

async function roomsNamed(region, names) {
  const arns = {};
  for (const name of names) arns[name] = (await call(region, "CreateRoom", { name })).arn;
  return arns;
}

test("paginateListRooms returns each room once while rooms change between pages", async (region) => {
  const arns = await roomsNamed(region, ["a", "b", "c", "d", "e", "f", "g"]);
  const pages = [];
  for await (const page of sdk.paginateListRooms({ client: client(region), pageSize: 2 }, {})) {
    pages.push(page.rooms.map((room) => room.name));
    if (pages.length === 1) {
      await call(region, "CreateRoom", { name: "late" });
      await call(region, "UpdateRoom", { identifier: arns.b, maximumMessageLength: 5 });
      await call(region, "DeleteRoom", { identifier: arns.e });
    }
    if (pages.length === 2) await call(region, "DeleteRoom", { identifier: arns.g });
  }
  equal(pages.flat(), ["g", "f", "d", "c", "b", "a"]);
  holds(pages.length >= 3, "there are several pages");
  holds(pages.every((page) => page.length <= 2), "no page is larger than asked");
});

test("paginateListRooms keeps its filter from page to page", async (region) => {
  await roomsNamed(region, ["x", "y", "x", "y", "x"]);
  const config = { client: client(region), pageSize: 1 };
  let pages = 0;
  for await (const page of sdk.paginateListRooms(config, { name: "x" })) {
    pages += 1;
    holds(page.rooms.every((room) => room.name === "x"), "all rooms pass the filter");
  }
  holds(pages >= 3, "there are several pages");
});

test("paginateListRooms begins at a token, and stops at a forged one", async (region) => {
  await roomsNamed(region, ["a", "b", "c"]);
  const config = { client: client(region), pageSize: 1 };
  const { value } = await sdk.paginateListRooms(config, {}).next();
  const rest = [];
  const startingToken = value.nextToken;
  for await (const page of sdk.paginateListRooms({ ...config, startingToken }, {})) {
    rest.push(...page.rooms.map((room) => room.name));
  }
  equal(rest, ["b", "a"]);
  const forged = { ...config, startingToken: `${startingToken.slice(0, -3)}xyz` };
  await refused(sdk.paginateListRooms(forged, {}).next(), "ValidationException");
});

test("paginateListLoggingConfigurations returns each once while they change", async (region) => {
  const arns = [];
  for (const name of ["a", "b", "c", "d", "e"]) {
    const given = { name, destinationConfiguration: S3 };
    arns.push((await call(region, "CreateLoggingConfiguration", given)).arn);
  }
  const config = { client: client(region), pageSize: 2 };
  const pages = [];
  for await (const page of sdk.paginateListLoggingConfigurations(config, {})) {
    pages.push(page.loggingConfigurations.map((each) => each.name));
    if (pages.length === 1) {
      await call(region, "DeleteLoggingConfiguration", { identifier: arns[1] });
      await call(region, "CreateLoggingConfiguration", { destinationConfiguration: S3 });
    }
  }
  equal(pages.flat(), ["e", "d", "c", "a"]);
});

test("an error is an instance of its class, and of the service's", async (region) => {
  const ivschat = client(region);
  const identifier = `arn:aws:ivschat:${region}:${settings.account}:room/AbCdEf123456`;
  const missing = await refused(
    send(ivschat, "GetRoom", { identifier }),
    "ResourceNotFoundException",
    { resourceId: "AbCdEf123456", resourceType: "ROOM", $fault: "client", status: 404 },
  );
  holds(missing instanceof sdk.ResourceNotFoundException, "its class");
  holds(missing instanceof sdk.IvschatServiceException, "the service's class");

  const invalid = await refused(send(ivschat, "CreateRoom", { name: "a b" }), "ValidationException");
  holds(invalid instanceof sdk.ValidationException, "its class");
  equal(invalid.fieldList.map((field) => field.name), ["name"]);

  const { arn } = await send(ivschat, "CreateLoggingConfiguration", {
    destinationConfiguration: S3,
  });
  await send(ivschat, "CreateRoom", { loggingConfigurationIdentifiers: [arn] });
  const conflict = await refused(
    send(ivschat, "DeleteLoggingConfiguration", { identifier: arn }),
    "ConflictException",
  );
  holds(conflict instanceof sdk.ConflictException, "its class");
});

test("metadata has the status, the request's id and the attempts", async (region) => {
  const { $metadata } = await send(client(region), "ListRooms", {});
  equal([$metadata.httpStatusCode, $metadata.attempts], [200, 1]);
  matches($metadata.requestId, /^[0-9a-f-]{36}$/, "the request id");
  const error = await refused(
    send(client(region), "GetRoom", { identifier: "nothing" }),
    "ValidationException",
  );
  equal([error.$metadata.httpStatusCode, error.$metadata.attempts], [400, 1]);
  matches(error.$metadata.requestId, /^[0-9a-f-]{36}$/, "the error's request id");
});

test("a clock an hour off is corrected, and stays so", async (region) => {
  const { now } = Date;
  for (const offset of [-HOUR, HOUR]) {
    Date.now = () => now() + offset;
    try {
      const skewed = client(region);
      equal((await send(skewed, "ListRooms", {})).$metadata.attempts, 2, "the first attempts");
      equal((await send(skewed, "ListRooms", {})).$metadata.attempts, 1, "the later attempts");
    } finally {
      Date.now = now;
    }
  }
});

test("a clock an hour off without a second attempt is the error", async (region) => {
  for (const systemClockOffset of [-HOUR, HOUR]) {
    const skewed = client(region, { systemClockOffset, maxAttempts: 1 });
    await refused(send(skewed, "ListRooms", {}), "InvalidSignatureException", { status: 403 });
  }
});

test("keys that the service does not know are refused", async (region) => {
  const credentials = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "secret" };
  const stranger = client(region, { credentials });
  const error = await refused(send(stranger, "ListRooms", {}), "UnrecognizedClientException", {
    status: 403,
  });
  equal(error.$metadata.attempts, 1);
});

test("a session token with the root key is refused", async (region) => {
  const { accessKeyId, secretAccessKey } = settings;
  const credentials = { accessKeyId, secretAccessKey, sessionToken: "token" };
  const temporary = client(region, { credentials });
  await refused(send(temporary, "ListRooms", {}), "UnrecognizedClientException");
});
