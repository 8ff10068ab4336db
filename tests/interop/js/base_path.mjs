/** An endpoint URL with a path, for both SDKs: passed on by a proxy, cut off by one, with slashes. */

import * as ivschat from "@aws-sdk/client-ivschat";
import AWS from "aws-sdk";
import { WebSocket } from "ws";

import { equal, join, main, settings, test } from "./harness.mjs";
import { cutting, listening } from "./servers.mjs";

globalThis.WebSocket ??= WebSocket;

const { accessKeyId, secretAccessKey, endpoint, basePath } = settings;
const credentials = { accessKeyId, secretAccessKey };

/** Makes calls of every kind with SDK v3: paths that are words, an ARN in one, none at all. */
async function v3(url, region) {
  const options = { endpoint: url, region, credentials };
  const chat = new ivschat.IvschatClient(options);
  const { arn } = await chat.send(new ivschat.CreateRoomCommand({ tags: { a: "b" } }));
  const { tags } = await chat.send(new ivschat.ListTagsForResourceCommand({ resourceArn: arn }));
  equal(tags, { a: "b" });
  await chat.send(new ivschat.UntagResourceCommand({ resourceArn: arn, tagKeys: ["a"] }));
  const room = { roomIdentifier: arn, userId: "ann" };
  const { token } = await chat.send(new ivschat.CreateChatTokenCommand(room));
  await joined(url, token);
}

/** The same with SDK v2. */
async function v2(url, region) {
  const options = { endpoint: url, region, accessKeyId, secretAccessKey };
  const chat = new AWS.Ivschat(options);
  const { arn } = await chat.createRoom({ tags: { a: "b" } }).promise();
  const { tags } = await chat.listTagsForResource({ resourceArn: arn }).promise();
  equal(tags, { a: "b" });
  await chat.untagResource({ resourceArn: arn, tagKeys: ["a"] }).promise();
  const { token } = await chat.createChatToken({ roomIdentifier: arn, userId: "ann" }).promise();
  await joined(url, token);
  equal((await new AWS.STS(options).getCallerIdentity().promise()).Account, settings.account);
  equal((await new AWS.IAM(options).listUsers().promise()).Users, []);
}

/** Opens a WebSocket below the path, where the proxy of these tests passes on requests only. */
async function joined(url, token) {
  if (url.startsWith(endpoint)) await join(token, url.replace("http", "ws"));
}

/** Makes calls through a proxy that cuts the path off. */
function through(calls, region) {
  return listening(cutting(endpoint, basePath), (port) =>
    calls(`http://127.0.0.1:${port}${basePath}`, region),
  );
}

test("v2: the path is passed on", (region) => v2(`${endpoint}${basePath}`, region));
test("v2: the path ends with a slash", (region) => v2(`${endpoint}${basePath}/`, region));
test("v2: a proxy cuts the path off", (region) => through(v2, region));
test("v2: no path", (region) => v2(endpoint, region));
test("v2: two slashes", (region) => v2(`${endpoint}//`, region));
test("v3: the path is passed on", (region) => v3(`${endpoint}${basePath}`, region));
test("v3: the path ends with a slash", (region) => v3(`${endpoint}${basePath}/`, region));
test("v3: a proxy cuts the path off", (region) => through(v3, region));
test("v3: no path", (region) => v3(endpoint, region));
test("v3: two slashes", (region) => v3(`${endpoint}//`, region));

await main();
