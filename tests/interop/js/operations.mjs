/** The 17 operations and their errors, as every client must see them. */

import { call, equal, holds, join, matches, refused, settings, test } from "./harness.mjs";

const ID = /^[a-zA-Z0-9]{12}$/;
const LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:review";
const S3 = { s3: { bucketName: "chat-logs" } };
const UNICODE = "Grüße, 世界 👩‍🚀 \u{1F389} \\ \" </script>";

function arnOf(region, type, id) {
  return `arn:aws:ivschat:${region}:${settings.account}:${type}/${id}`;
}

async function names(region, filters = {}) {
  return (await call(region, "ListRooms", filters)).rooms.map((room) => room.name);
}

async function roomWith(region, name, more = {}) {
  return call(region, "CreateRoom", { name, ...more });
}

// ----------------------------------------------------------------------------------------- rooms

test("CreateRoom without members gives a room with the defaults", async (region) => {
  const room = await call(region, "CreateRoom", {});
  matches(room.id, ID, "the id");
  holds(room.createTime instanceof Date, "the time is a date");
  holds(Math.abs(room.createTime - Date.now()) < 600_000, "the room was created now");
  equal(room, {
    arn: arnOf(region, "room", room.id),
    id: room.id,
    createTime: room.createTime,
    updateTime: room.createTime,
    maximumMessageLength: 500,
    maximumMessageRatePerSecond: 10,
    tags: {},
    loggingConfigurationIdentifiers: [],
  });
});

test("CreateRoom keeps all members that it is given", async (region) => {
  const first = await call(region, "CreateLoggingConfiguration", { destinationConfiguration: S3 });
  const second = await call(region, "CreateLoggingConfiguration", { destinationConfiguration: S3 });
  const given = {
    name: "Room_1-a",
    maximumMessageRatePerSecond: 100,
    maximumMessageLength: 1,
    messageReviewHandler: { uri: LAMBDA, fallbackResult: "DENY" },
    tags: { "stage name": "Ünïcode 世界", "a:b/c=d+e-f@g.h_i": "" },
    loggingConfigurationIdentifiers: [second.arn, first.arn],
  };
  const room = await call(region, "CreateRoom", given);
  equal(room, {
    ...given,
    arn: arnOf(region, "room", room.id),
    id: room.id,
    createTime: room.createTime,
    updateTime: room.updateTime,
  });
});

test("CreateRoom fills in the fallback of a review handler", async (region) => {
  const room = await call(region, "CreateRoom", { messageReviewHandler: { uri: LAMBDA } });
  equal(room.messageReviewHandler, { uri: LAMBDA, fallbackResult: "ALLOW" });
});

test("GetRoom returns what CreateRoom returned", async (region) => {
  const room = await roomWith(region, "seen", { tags: { a: "b" } });
  equal(await call(region, "GetRoom", { identifier: room.arn }), room);
});

test("UpdateRoom changes what it is given and leaves the rest", async (region) => {
  const room = await roomWith(region, "before", { maximumMessageLength: 7, tags: { a: "b" } });
  const change = { identifier: room.arn, name: "after", maximumMessageRatePerSecond: 3 };
  const updated = await call(region, "UpdateRoom", change);
  holds(updated.updateTime >= room.updateTime, "the update is not older than the room");
  equal(updated, {
    ...room,
    name: "after",
    maximumMessageRatePerSecond: 3,
    updateTime: updated.updateTime,
  });
  equal(await call(region, "GetRoom", { identifier: room.arn }), updated);
});

test("UpdateRoom clears with an empty name, uri and list", async (region) => {
  const { arn } = await call(region, "CreateLoggingConfiguration", {
    destinationConfiguration: S3,
  });
  const room = await roomWith(region, "full", {
    messageReviewHandler: { uri: LAMBDA, fallbackResult: "DENY" },
    loggingConfigurationIdentifiers: [arn],
  });
  const updated = await call(region, "UpdateRoom", {
    identifier: room.arn,
    name: "",
    messageReviewHandler: { uri: "", fallbackResult: "ALLOW" },
    loggingConfigurationIdentifiers: [],
  });
  equal(updated.name, "");
  equal(updated.messageReviewHandler, { uri: "", fallbackResult: "ALLOW" });
  equal(updated.loggingConfigurationIdentifiers, []);
});

test("DeleteRoom removes the room", async (region) => {
  const room = await roomWith(region, "doomed");
  equal(await call(region, "DeleteRoom", { identifier: room.arn }), {});
  await refused(call(region, "GetRoom", { identifier: room.arn }), "ResourceNotFoundException");
  equal(await names(region), []);
});

test("ListRooms returns summaries, the newest update first", async (region) => {
  const first = await roomWith(region, "first", { tags: { a: "b" } });
  await roomWith(region, "second");
  equal(await names(region), ["second", "first"]);
  await call(region, "UpdateRoom", { identifier: first.arn, maximumMessageLength: 9 });
  equal(await names(region), ["first", "second"]);
  const { rooms, nextToken } = await call(region, "ListRooms", {});
  equal(nextToken, undefined, "the token after the last page");
  const { maximumMessageLength, maximumMessageRatePerSecond, ...summary } = first;
  equal(rooms[0], { ...summary, updateTime: rooms[0].updateTime });
});

test("ListRooms filters by name, review handler and logging configuration", async (region) => {
  const { arn } = await call(region, "CreateLoggingConfiguration", {
    destinationConfiguration: S3,
  });
  await roomWith(region, "plain");
  await roomWith(region, "reviewed", { messageReviewHandler: { uri: LAMBDA } });
  await roomWith(region, "logged", { loggingConfigurationIdentifiers: [arn] });
  equal(await names(region, { name: "plain" }), ["plain"]);
  equal(await names(region, { name: "pla" }), []);
  equal(await names(region, { messageReviewHandlerUri: LAMBDA }), ["reviewed"]);
  equal(await names(region, { loggingConfigurationIdentifier: arn }), ["logged"]);
});

test("ListRooms turns pages with its token, and refuses another token", async (region) => {
  for (const name of ["a", "b", "c"]) await roomWith(region, name);
  const first = await call(region, "ListRooms", { maxResults: 2 });
  equal(first.rooms.map((room) => room.name), ["c", "b"]);
  const second = await call(region, "ListRooms", { maxResults: 2, nextToken: first.nextToken });
  equal(second.rooms.map((room) => room.name), ["a"]);
  equal(second.nextToken, undefined, "the token after the last page");
  const other = call(region, "ListRooms", { name: "a", nextToken: first.nextToken });
  const error = await refused(other, "ValidationException", { status: 400 });
  equal(error.fieldList.map((field) => field.name), ["nextToken"]);
});

test("Rooms of another region are not found", async (region) => {
  const room = await roomWith(`${region}-elsewhere`, "far");
  await refused(call(region, "GetRoom", { identifier: room.arn }), "ResourceNotFoundException", {
    status: 404,
    resourceId: room.id,
    resourceType: "ROOM",
  });
  equal(await names(region), []);
});

// ------------------------------------------------------------------------ logging configurations

test("CreateLoggingConfiguration takes each destination", async (region) => {
  const destinations = [
    S3,
    { cloudWatchLogs: { logGroupName: "/aws/chat" } },
    { firehose: { deliveryStreamName: "stream.1" } },
  ];
  for (const destinationConfiguration of destinations) {
    const given = { name: "logs", destinationConfiguration, tags: { a: "b" } };
    const made = await call(region, "CreateLoggingConfiguration", given);
    matches(made.id, ID, "the id");
    equal(made, {
      ...given,
      arn: arnOf(region, "logging-configuration", made.id),
      id: made.id,
      state: "ACTIVE",
      createTime: made.createTime,
      updateTime: made.updateTime,
    });
    holds(made.updateTime instanceof Date, "the time is a date");
  }
});

test("GetLoggingConfiguration returns what was created", async (region) => {
  const made = await call(region, "CreateLoggingConfiguration", { destinationConfiguration: S3 });
  equal(await call(region, "GetLoggingConfiguration", { identifier: made.arn }), made);
});

test("UpdateLoggingConfiguration changes name and destination", async (region) => {
  const made = await call(region, "CreateLoggingConfiguration", {
    name: "before",
    destinationConfiguration: S3,
  });
  const destinationConfiguration = { cloudWatchLogs: { logGroupName: "/a/b" } };
  const updated = await call(region, "UpdateLoggingConfiguration", {
    identifier: made.arn,
    name: "",
    destinationConfiguration,
  });
  equal(updated, { ...made, name: "", destinationConfiguration, updateTime: updated.updateTime });
  equal(await call(region, "GetLoggingConfiguration", { identifier: made.arn }), updated);
});

test("DeleteLoggingConfiguration removes it", async (region) => {
  const made = await call(region, "CreateLoggingConfiguration", { destinationConfiguration: S3 });
  equal(await call(region, "DeleteLoggingConfiguration", { identifier: made.arn }), {});
  const again = call(region, "DeleteLoggingConfiguration", { identifier: made.arn });
  await refused(again, "ResourceNotFoundException", {
    status: 404,
    resourceId: made.id,
    resourceType: "LOGGING_CONFIGURATION",
  });
});

test("ListLoggingConfigurations returns them whole, in pages", async (region) => {
  const made = [];
  for (const name of ["a", "b", "c"]) {
    const given = { name, destinationConfiguration: S3 };
    made.unshift(await call(region, "CreateLoggingConfiguration", given));
  }
  const first = await call(region, "ListLoggingConfigurations", { maxResults: 2 });
  const { nextToken } = first;
  const second = await call(region, "ListLoggingConfigurations", { maxResults: 2, nextToken });
  equal([...first.loggingConfigurations, ...second.loggingConfigurations], made);
  equal(second.nextToken, undefined, "the token after the last page");
});

// ------------------------------------------------------------------------------------------ tags

test("TagResource, UntagResource and ListTagsForResource work on rooms", async (region) => {
  const { arn } = await roomWith(region, "tagged", { tags: { old: "1", kept: "2" } });
  const keys = ["k 1", "a:b", "a1", "x/y+z", "ü", "é=@"];
  const tags = Object.fromEntries(keys.map((key) => [key, `of ${key}`]));
  equal(await call(region, "TagResource", { resourceArn: arn, tags: { ...tags, old: "3" } }), {});
  const listed = await call(region, "ListTagsForResource", { resourceArn: arn });
  equal(listed.tags, { ...tags, old: "3", kept: "2" });
  const gone = { resourceArn: arn, tagKeys: [...keys, "never there"] };
  equal(await call(region, "UntagResource", gone), {});
  equal((await call(region, "ListTagsForResource", { resourceArn: arn })).tags, {
    old: "3",
    kept: "2",
  });
  equal((await call(region, "GetRoom", { identifier: arn })).tags, { old: "3", kept: "2" });
});

test("TagResource works on logging configurations", async (region) => {
  const { arn } = await call(region, "CreateLoggingConfiguration", {
    destinationConfiguration: S3,
  });
  equal((await call(region, "ListTagsForResource", { resourceArn: arn })).tags, {});
  await call(region, "TagResource", { resourceArn: arn, tags: { a: "b" } });
  equal((await call(region, "ListTagsForResource", { resourceArn: arn })).tags, { a: "b" });
});

// -------------------------------------------------------------------------------------- the chat

test("CreateChatToken gives a token that opens the chat", async (region) => {
  const room = await roomWith(region, "open");
  const answer = await call(region, "CreateChatToken", {
    roomIdentifier: room.arn,
    userId: UNICODE,
    capabilities: ["SEND_MESSAGE"],
    sessionDurationInMinutes: 180,
    attributes: { "näme": UNICODE },
  });
  matches(answer.token, /^[\w.!#$%&'*+^`|~-]{1,4000}$/, "the token");
  equal(Object.keys(answer).sort(), ["sessionExpirationTime", "token", "tokenExpirationTime"]);
  const minutes = (answer.sessionExpirationTime - answer.tokenExpirationTime) / 60_000;
  equal(minutes, 179, "minutes from the token's expiry to the session's");
  const chat = await join(answer.token);
  chat.send({ Action: "SEND_MESSAGE", RequestId: "1", Content: UNICODE });
  const message = await chat.next();
  equal(message.Content, UNICODE);
  equal(message.Sender, { UserId: UNICODE, Attributes: { "näme": UNICODE } });
});

test("SendEvent, DeleteMessage and DisconnectUser reach the room", async (region) => {
  const { arn } = await roomWith(region, "moderated");
  const who = { roomIdentifier: arn, userId: "viewer" };
  const chat = await join((await call(region, "CreateChatToken", who)).token);

  const attributes = { "schlüssel": UNICODE };
  const event = { roomIdentifier: arn, eventName: "app:größe", attributes };
  const sent = await call(region, "SendEvent", event);
  const seen = await chat.next();
  equal(Object.keys(sent), ["id"]);
  equal([seen.Type, seen.Id, seen.EventName], ["EVENT", sent.id, "app:größe"]);
  equal(seen.Attributes, attributes);

  const doomed = { roomIdentifier: arn, id: "AbCdEf123456", reason: "ça suffit" };
  const deleted = await call(region, "DeleteMessage", doomed);
  const deletion = await chat.next();
  equal([deletion.Id, deletion.EventName], [deleted.id, "aws:DELETE_MESSAGE"]);
  equal(deletion.Attributes, {
    MessageID: doomed.id,
    MessageId: doomed.id,
    Reason: doomed.reason,
  });

  equal(await call(region, "DisconnectUser", { ...who, reason: "bye" }), {});
  const kick = await chat.next();
  equal(kick.EventName, "aws:DISCONNECT_USER");
  equal(kick.Attributes, { Reason: "bye", UserId: "viewer" });
  equal(await chat.closed, { code: 1000, reason: "bye" });
});

// ---------------------------------------------------------------------------------------- errors

test("ValidationException names every field that failed", async (region) => {
  const wrong = {
    name: "no spaces",
    maximumMessageLength: 501,
    maximumMessageRatePerSecond: 0,
    messageReviewHandler: { uri: "nowhere", fallbackResult: "MAYBE" },
    tags: { ok: "x".repeat(257) },
    loggingConfigurationIdentifiers: ["nothing"],
  };
  const error = await refused(call(region, "CreateRoom", wrong), "ValidationException", {
    status: 400,
    reason: "FIELD_VALIDATION_FAILED",
  });
  equal(error.fieldList.map((field) => field.name).sort(), [
    "loggingConfigurationIdentifiers[0]",
    "maximumMessageLength",
    "maximumMessageRatePerSecond",
    "messageReviewHandler.fallbackResult",
    "messageReviewHandler.uri",
    "name",
    "tags.ok",
  ]);
  holds(error.fieldList.every((field) => field.message), "each field has a message");
});

test("ResourceNotFoundException names the resource", async (region) => {
  const identifier = arnOf(region, "room", "AbCdEf123456");
  const expected = { status: 404, resourceId: "AbCdEf123456", resourceType: "ROOM" };
  const calls = {
    GetRoom: { identifier },
    UpdateRoom: { identifier },
    DeleteRoom: { identifier },
    CreateChatToken: { roomIdentifier: identifier, userId: "u" },
    SendEvent: { roomIdentifier: identifier, eventName: "e" },
    DeleteMessage: { roomIdentifier: identifier, id: "AbCdEf123456" },
    DisconnectUser: { roomIdentifier: identifier, userId: "u" },
    ListTagsForResource: { resourceArn: identifier },
    TagResource: { resourceArn: identifier, tags: { a: "b" } },
    UntagResource: { resourceArn: identifier, tagKeys: ["a"] },
  };
  for (const [operation, parameters] of Object.entries(calls)) {
    await refused(call(region, operation, parameters), "ResourceNotFoundException", expected);
  }
});

test("ConflictException names a logging configuration in use", async (region) => {
  const { arn, id } = await call(region, "CreateLoggingConfiguration", {
    destinationConfiguration: S3,
  });
  await roomWith(region, "using", { loggingConfigurationIdentifiers: [arn] });
  const deletion = call(region, "DeleteLoggingConfiguration", { identifier: arn });
  await refused(deletion, "ConflictException", {
    status: 409,
    resourceId: id,
    resourceType: "LOGGING_CONFIGURATION",
  });
});
