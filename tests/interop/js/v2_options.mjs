/** Every constructor option of `AWS.Ivschat` that reaches the wire or the service's answer. */

import http from "node:http";

import { equal, holds, main, matches, refused, settings, test } from "./harness.mjs";
import { answering, forwarding, listening, stalling } from "./servers.mjs";
import { accessKeyId, AWS, client, counted, endpoint, secretAccessKey } from "./v2_client.mjs";

const { host } = new URL(endpoint);
const HOUR = 3_600_000;
const ROOM = /^arn:aws:ivschat:(?<region>[a-z0-9-]+):\d+:room\/\w{12}$/;

/** Calls ListRooms, which shows that the client was let in; returns the whole response. */
async function letIn(ivschat) {
  const { rooms, $response } = await ivschat.listRooms().promise();
  holds(Array.isArray(rooms), "ListRooms lists rooms");
  return $response;
}

/** Constructs while `AWS.config` has other values; a client copies them as it is made. */
function configured(values, construct) {
  const before = Object.fromEntries(Object.keys(values).map((name) => [name, AWS.config[name]]));
  AWS.config.update(values, true);
  try {
    return construct();
  } finally {
    Object.assign(AWS.config, before);
  }
}

/** Lets the whole process believe that it is another time. */
async function atAnotherTime(offset, body) {
  const { now } = Date;
  Date.now = () => now() + offset;
  try {
    return await body();
  } finally {
    Date.now = now;
  }
}

// -------------------------------------------------------------------------------------- endpoint

test("endpoint: a URL, with and without a slash at its end", async (region) => {
  await letIn(client(region, { endpoint }));
  await letIn(client(region, { endpoint: `${endpoint}/` }));
});

test("endpoint: an AWS.Endpoint", async (region) => {
  await letIn(client(region, { endpoint: new AWS.Endpoint(endpoint) }));
});

test("endpoint: in AWS.config, for the service and for all", async (region) => {
  const keys = { region, accessKeyId, secretAccessKey };
  await letIn(configured({ ivschat: { endpoint, ...keys } }, () => new AWS.Ivschat()));
  const credentials = new AWS.Credentials({ accessKeyId, secretAccessKey });
  await letIn(configured({ endpoint, region, credentials }, () => new AWS.Ivschat()));
});

test("endpoint: another name for the same address is what is signed", async (region) => {
  const named = client(region, { endpoint: endpoint.replace("127.0.0.1", "localhost") });
  const { request } = await letIn(named);
  equal(request.httpRequest.headers.Host, host.replace("127.0.0.1", "localhost"));
});

test("endpoint: with a path of its own, no operation is found there", async (region) => {
  const elsewhere = client(region, { endpoint: `${endpoint}/prefix` });
  await refused(elsewhere.listRooms().promise(), "ValidationException", {
    status: 400,
    reason: "UNKNOWN_OPERATION",
  });
});

test("sslEnabled: false speaks HTTP to an endpoint without a scheme", async (region) => {
  await letIn(client(region, { endpoint: host, sslEnabled: false }));
  await letIn(client(region, { endpoint: `{scheme}://${host}`, sslEnabled: false }));
});

test("sslEnabled: true meets a service without TLS as a network error", async (region) => {
  const tls = client(region, { endpoint: host, sslEnabled: true, maxRetries: 0 });
  const error = await tls.listRooms().promise().catch((thrown) => thrown);
  // The SDK takes some failed handshakes for failed look-ups of the host.
  matches(error.code, /^(NetworkingError|UnknownEndpoint)$/, "the code");
  equal(error.retryable, true);
  await letIn(client(region));
});

test("useFipsEndpoint and useDualstackEndpoint leave a given endpoint as it is", async (region) => {
  for (const option of ["useFipsEndpoint", "useDualstackEndpoint"]) {
    const { request } = await letIn(client(region, { [option]: true }));
    equal(request.httpRequest.endpoint.host, host);
  }
});

test("hostPrefixEnabled: on or off leaves a given endpoint as it is", async (region) => {
  for (const hostPrefixEnabled of [true, false]) {
    const { request } = await letIn(client(region, { hostPrefixEnabled }));
    equal(request.httpRequest.headers.Host, host);
  }
});

test("endpointDiscoveryEnabled: false is as without; the SDK itself refuses true", async (region) => {
  await letIn(client(region, { endpointDiscoveryEnabled: false, endpointCacheSize: 5 }));
  const discovering = client(region, { endpointDiscoveryEnabled: true });
  await refused(discovering.listRooms().promise(), "ConfigurationException");
});

// ---------------------------------------------------------------------------- region and version

test("region: is where resources are made and found", async (region) => {
  const { arn } = await client(region).createRoom().promise();
  equal(ROOM.exec(arn).groups.region, region);
  equal((await client("eu-central-1").listRooms({ name: "nothing" }).promise()).rooms, []);
  const elsewhere = client("eu-central-1").getRoom({ identifier: arn });
  await refused(elsewhere.promise(), "ResourceNotFoundException");
});

test("region: a FIPS region is the region", async () => {
  const { arn } = await client("fips-us-west-2").createRoom().promise();
  equal(ROOM.exec(arn).groups.region, "us-west-2");
});

test("region: in AWS.config", async (region) => {
  const options = { endpoint, accessKeyId, secretAccessKey };
  const ivschat = configured({ region }, () => new AWS.Ivschat(options));
  equal(ROOM.exec((await ivschat.createRoom().promise()).arn).groups.region, region);
});

test("apiVersion: the service's own, the latest, a date, a later day", async (region) => {
  const versions = ["2020-07-14", "latest", new Date("2020-07-14"), "2026-01-01", undefined];
  for (const apiVersion of versions) await letIn(client(region, { apiVersion }));
});

test("apiVersions: for the service, in the constructor and in AWS.config", async (region) => {
  const apiVersions = { ivschat: "2020-07-14" };
  await letIn(client(region, { apiVersions }));
  await letIn(client(region, { apiVersion: "2001-01-01", apiVersions: { ivschat: "latest" } }));
  await letIn(configured({ apiVersions }, () => client(region)));
});

// ----------------------------------------------------------------------------------- credentials

const unset = { accessKeyId: undefined, secretAccessKey: undefined };

test("accessKeyId: an unknown one is refused", async (region) => {
  const stranger = client(region, { accessKeyId: "AKIAIOSFODNN7EXAMPLE" });
  await refused(stranger.listRooms().promise(), "UnrecognizedClientException", { status: 403 });
});

test("secretAccessKey: a wrong one is refused", async (region) => {
  const wrong = client(region, { secretAccessKey: `${secretAccessKey.slice(1)}x` });
  await refused(wrong.listRooms().promise(), "InvalidSignatureException", { status: 403 });
});

test("sessionToken: is refused with the root key, which has no sessions", async (region) => {
  const temporary = client(region, { sessionToken: "token" });
  await refused(temporary.listRooms().promise(), "UnrecognizedClientException", { status: 403 });
});

test("credentials: an AWS.Credentials, and a plain object", async (region) => {
  const keys = { accessKeyId, secretAccessKey };
  await letIn(client(region, { ...unset, credentials: new AWS.Credentials(keys) }));
  await letIn(client(region, { ...unset, credentials: keys }));
});

test("credentials: from the file that the service wrote", async (region) => {
  const credentials = new AWS.SharedIniFileCredentials({
    profile: "greenroom",
    filename: settings.credentialsFile,
  });
  await letIn(client(region, { ...unset, credentials }));
});

test("credentialProvider: a chain whose first provider has none", async (region) => {
  process.env.CHAIN_ACCESS_KEY_ID = accessKeyId;
  process.env.CHAIN_SECRET_ACCESS_KEY = secretAccessKey;
  const credentialProvider = new AWS.CredentialProviderChain([
    () => new AWS.EnvironmentCredentials("NOWHERE"),
    () => new AWS.EnvironmentCredentials("CHAIN"),
  ]);
  await letIn(client(region, { ...unset, credentials: null, credentialProvider }));
});

test("credentials: from the environment, where the constructor names none", async (region) => {
  await refused(new AWS.Ivschat({ endpoint, region }).listRooms().promise(), "CredentialsError");
  process.env.AWS_ACCESS_KEY_ID = accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = secretAccessKey;
  try {
    await letIn(new AWS.Ivschat({ endpoint, region }));
  } finally {
    delete process.env.AWS_ACCESS_KEY_ID;
    delete process.env.AWS_SECRET_ACCESS_KEY;
  }
});

// ------------------------------------------------------------------------------------ parameters

test("params: are bound to the operations that know them", async (region) => {
  const { arn } = await client(region).createRoom({ name: "bound" }).promise();
  const bound = client(region, { params: { identifier: arn, name: "default" } });
  equal((await bound.getRoom().promise()).name, "bound");
  equal((await bound.updateRoom({ name: "given" }).promise()).name, "given");
  equal((await bound.updateRoom().promise()).name, "default");
});

test("paramValidation: true keeps a bad request at home", async (region) => {
  const ivschat = client(region);
  const counter = counted(ivschat);
  await refused(ivschat.getRoom({}).promise(), "MissingRequiredParameter");
  await refused(ivschat.createRoom({ name: 5 }).promise(), "InvalidParameterType");
  equal(counter.attempts, 0);
});

test("paramValidation: false shows the service's own validation", async (region) => {
  const ivschat = client(region, { paramValidation: false });
  const fieldsOf = async (method, parameters) => {
    const error = await refused(ivschat[method](parameters).promise(), "ValidationException", {
      status: 400,
      reason: "FIELD_VALIDATION_FAILED",
    });
    return error.fieldList.map((field) => field.name).sort();
  };
  equal(await fieldsOf("createChatToken", {}), ["roomIdentifier", "userId"]);
  equal(await fieldsOf("deleteMessage", { id: "short" }), ["id", "roomIdentifier"]);
  equal(await fieldsOf("sendEvent", { eventName: "x".repeat(101) }), [
    "eventName",
    "roomIdentifier",
  ]);
  equal(await fieldsOf("createLoggingConfiguration", { tags: { "": "empty key" } }), [
    "destinationConfiguration",
    "tags.",
  ]);
  const both = { s3: { bucketName: "x" }, firehose: {} };
  equal(await fieldsOf("createLoggingConfiguration", { destinationConfiguration: both }), [
    "destinationConfiguration",
    "destinationConfiguration.firehose.deliveryStreamName",
    "destinationConfiguration.s3.bucketName",
  ]);
  const arn = `arn:aws:ivschat:${region}:${settings.account}:room/AbCdEf123456`;
  equal(await fieldsOf("untagResource", { resourceArn: arn }), ["tagKeys"]);
  equal(await fieldsOf("tagResource", { resourceArn: arn }), ["tags"]);
});

test("paramValidation: false shows the service's validation of a path without ARN", async (region) => {
  const ivschat = client(region, { paramValidation: false });
  const error = await refused(ivschat.listTagsForResource({}).promise(), "ValidationException");
  equal(error.fieldList.map((field) => field.name), ["resourceArn"]);
});

test("paramValidation: a map leaves to the service what the SDK does not check", async (region) => {
  const paramValidation = { min: true, max: true, pattern: true, enum: true };
  const request = client(region, { paramValidation }).createRoom({
    name: "no spaces",
    maximumMessageLength: 501,
  });
  const error = await refused(request.promise(), "ValidationException");
  equal(error.fieldList.map((field) => field.name), ["name", "maximumMessageLength"]);
});

test("convertResponseTypes: true gives dates, false the strings of the wire", async (region) => {
  const plain = client(region, { convertResponseTypes: false });
  const { arn, createTime, updateTime } = await plain.createRoom({ tags: { a: "b" } }).promise();
  for (const time of [createTime, updateTime]) {
    matches(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, "the time");
  }
  const who = { roomIdentifier: arn, userId: "u" };
  const { sessionExpirationTime } = await plain.createChatToken(who).promise();
  matches(sessionExpirationTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, "the time");
  const converted = await client(region, { convertResponseTypes: true })
    .getRoom({ identifier: arn })
    .promise();
  equal(converted.createTime, new Date(createTime));
});

test("convertResponseTypes: false shows that nothing is null", async (region) => {
  const plain = client(region, { convertResponseTypes: false });
  const room = await plain.createRoom().promise();
  const rooms = await plain.listRooms().promise();
  for (const answer of [room, rooms, rooms.rooms[0]]) {
    holds(!Object.values(answer).includes(null), "no member is null");
  }
});

// ----------------------------------------------------------------------------------------- clock

test("correctClockSkew: true succeeds with a clock an hour off, and keeps the correction", async (region) => {
  for (const offset of [-HOUR, HOUR]) {
    await atAnotherTime(offset, async () => {
      const ivschat = client(region, { correctClockSkew: true });
      const counter = counted(ivschat);
      await letIn(ivschat);
      equal(counter.attempts, 2, "attempts of the first request");
      holds(Math.abs(ivschat.config.systemClockOffset + offset) < 60_000, "the offset is known");
      await letIn(ivschat);
      equal(counter.attempts, 3, "attempts of both requests");
    });
  }
});

test("correctClockSkew: true corrects a wrong systemClockOffset", async (region) => {
  for (const systemClockOffset of [-HOUR, HOUR]) {
    const ivschat = configured({ systemClockOffset }, () =>
      client(region, { correctClockSkew: true }),
    );
    equal(ivschat.config.systemClockOffset, systemClockOffset);
    await letIn(ivschat);
    holds(Math.abs(ivschat.config.systemClockOffset) < 60_000, "the offset is corrected");
  }
});

test("correctClockSkew: true works on a request without a body and on one with a path", async (region) => {
  const { arn } = await client(region).createRoom({ tags: { "ü": "v" } }).promise();
  await atAnotherTime(-HOUR, async () => {
    const skewed = () => client(region, { correctClockSkew: true });
    const listed = await skewed().listTagsForResource({ resourceArn: arn }).promise();
    equal(listed.tags, { "ü": "v" });
    await skewed().untagResource({ resourceArn: arn, tagKeys: ["ü", "b", "a"] }).promise();
  });
});

test("correctClockSkew: false is refused with a clock an hour off", async (region) => {
  const messages = { [-HOUR]: /^Signature expired: /, [HOUR]: /^Signature not yet current: / };
  for (const offset of [-HOUR, HOUR]) {
    await atAnotherTime(offset, async () => {
      const request = client(region, { correctClockSkew: false, maxRetries: 0 }).listRooms();
      const error = await refused(request.promise(), "InvalidSignatureException", { status: 403 });
      matches(error.message, messages[offset], "the message");
    });
  }
});

test("correctClockSkew: is not needed within a quarter of an hour", async (region) => {
  for (const offset of [-14 * 60_000, 14 * 60_000]) {
    await atAnotherTime(offset, () => letIn(client(region, { maxRetries: 0 })));
  }
});

test("systemClockOffset: in AWS.config mends a clock that is an hour off", async (region) => {
  for (const offset of [-HOUR, HOUR]) {
    await atAnotherTime(offset, async () => {
      const mended = configured({ systemClockOffset: -offset }, () =>
        client(region, { maxRetries: 0 }),
      );
      await letIn(mended);
    });
  }
  equal(AWS.config.systemClockOffset, 0, "the restored offset");
});

// ------------------------------------------------------------------------------------- signature

test("signatureVersion: v4 is accepted", async (region) => {
  await letIn(client(region, { signatureVersion: "v4" }));
});

test("signatureVersion: v3 is refused, as it signs in no way that AWS still takes", async (region) => {
  const old = client(region, { signatureVersion: "v3" });
  await refused(old.listRooms().promise(), "MissingAuthenticationTokenException", { status: 403 });
});

test("signatureCache: on and off give the same signatures", async (region) => {
  for (const signatureCache of [true, false]) {
    const ivschat = client(region, { signatureCache });
    await letIn(ivschat);
    await letIn(ivschat);
  }
});

test("computeChecksums: changes nothing, on or off", async (region) => {
  for (const computeChecksums of [true, false]) {
    const { request } = await letIn(client(region, { computeChecksums }));
    equal(request.httpRequest.headers["Content-MD5"], undefined);
  }
});

// ------------------------------------------------------------------------------------------ HTTP

test("httpOptions.timeout: gives up on a stalled server, and the retry succeeds", async (region) => {
  const httpOptions = { timeout: 100 };
  const { server, seen } = stalling(endpoint, 1);
  await listening(server, async (port) => {
    const slow = client(region, {
      endpoint: `http://127.0.0.1:${port}`,
      httpOptions,
      retryDelayOptions: { base: 1 },
      maxRetries: 9,
    });
    const { retryCount } = await letIn(slow);
    holds(retryCount >= 1, "the first attempt timed out");
    holds(seen.connections >= 2, "a second connection was made");
  });
});

test("httpOptions.timeout: without retries is the error", async (region) => {
  const { server } = stalling(endpoint, 2);
  await listening(server, async (port) => {
    const options = { endpoint: `http://127.0.0.1:${port}`, httpOptions: { timeout: 50 } };
    const once = client(region, { ...options, maxRetries: 0 });
    const counter = counted(once);
    await refused(once.listRooms().promise(), "TimeoutError");
    equal(counter.attempts, 1);
  });
});

test("httpOptions.connectTimeout: ends the wait for a connection, not for an answer", async (region) => {
  await letIn(client(region, { httpOptions: { connectTimeout: 5_000 } }));
  const unresolved = { connectTimeout: 20, lookup: () => {} };
  const options = { endpoint: "http://greenroom.test", httpOptions: unresolved, maxRetries: 0 };
  const error = await refused(client(region, options).listRooms().promise(), "TimeoutError");
  matches(error.message, /without establishing a connection/);
});

test("httpOptions.agent: keeps one connection for all requests", async (region) => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const kept = client(region, { httpOptions: { agent } });
  const ports = new Set();
  const { arn } = await kept.createRoom().promise();
  for (const [method, parameters] of [
    ["listRooms", {}],
    ["listTagsForResource", { resourceArn: arn }],
    ["untagResource", { resourceArn: arn, tagKeys: ["a"] }],
    ["getRoom", { identifier: "nothing" }],
    ["deleteRoom", { identifier: arn }],
    ["listRooms", {}],
  ]) {
    const request = kept[method](parameters);
    request.on("httpHeaders", () => ports.add(request.httpRequest.stream.socket.localPort));
    await request.promise().catch((error) => equal(error.code, "ValidationException"));
  }
  equal(ports.size, 1, "connections");
  agent.destroy();
});

test("httpOptions.proxy: through a proxy, for an endpoint that only the proxy reaches", async (region) => {
  const { server, targets } = forwarding(endpoint);
  await listening(server, async (port) => {
    const httpOptions = { proxy: `http://127.0.0.1:${port}` };
    const { arn } = await client(region, { endpoint: "http://greenroom.test", httpOptions })
      .createRoom()
      .promise();
    matches(arn, ROOM, "the ARN");
    equal(targets, ["http://greenroom.test/CreateRoom"]);
  });
});

test("httpOptions.proxy: the service itself takes a target that is a whole URL", async (region) => {
  const options = { endpoint: "http://greenroom.test", httpOptions: { proxy: endpoint } };
  const proxied = client(region, options);
  const { arn } = await proxied.createRoom({ tags: { "ü": "v" } }).promise();
  equal((await proxied.listTagsForResource({ resourceArn: arn }).promise()).tags, { "ü": "v" });
  await proxied.untagResource({ resourceArn: arn, tagKeys: ["ü", "a b"] }).promise();
});

test("maxRedirects: a redirect to the service is followed, and signed anew", async (region) => {
  const location = `${endpoint}/ListRooms`;
  const { server, seen } = answering(() => ({ status: 307, headers: { location } }));
  await listening(server, async (port) => {
    const options = { endpoint: `http://127.0.0.1:${port}`, maxRetries: 0 };
    const { redirectCount } = await letIn(client(region, { ...options, maxRedirects: 1 }));
    equal([redirectCount, seen.requests], [1, 1]);
    const request = client(region, { ...options, maxRedirects: 0 }).listRooms();
    equal((await request.promise().catch((error) => error)).statusCode, 307);
  });
});

// --------------------------------------------------------------------------------------- reports

test("logger: log gets a line for each request, without what is secret", async (region) => {
  const lines = [];
  const logged = client(region, { logger: { log: (line) => lines.push(line) } });
  const { arn } = await logged.createRoom({ name: "logged" }).promise();
  await logged
    .createChatToken({ roomIdentifier: arn, userId: "u", attributes: { a: "hidden" } })
    .promise();
  await logged.getRoom({ identifier: "nothing" }).promise().catch(() => {});
  equal(lines.length, 3);
  matches(lines[0], /^\[AWS ivschat 200 [\d.]+s 0 retries\] createRoom\(\{ name: 'logged' \}\)$/);
  matches(lines[1], /^\[AWS ivschat 200 .*createChatToken\(.*SensitiveInformation/s);
  holds(!lines[1].includes("hidden"), "attributes are sensitive");
  matches(lines[2], /^\[AWS ivschat 400 [\d.]+s 0 retries\] getRoom\(/);
});

test("logger: write gets the same lines, as a stream", async (region) => {
  const lines = [];
  const logged = client(region, { logger: { write: (line) => lines.push(line) } });
  await logged.listRooms().promise();
  equal(lines.length, 1);
  matches(lines[0], /^\[AWS ivschat 200 [\d.]+s 0 retries\] listRooms\(\{\}\)\n$/);
});

test("clientSideMonitoring: on and off tell of one attempt with the service's request id", async (region) => {
  for (const clientSideMonitoring of [true, false]) {
    const ivschat = client(region, { clientSideMonitoring });
    const events = [];
    for (const name of ["apiCallAttempt", "apiCall"]) {
      ivschat.on(name, (event) => events.push(event));
    }
    const { requestId } = await letIn(ivschat);
    equal(events.map((event) => event.Type), ["ApiCallAttempt", "ApiCall"]);
    equal(events[0].XAmznRequestId, requestId);
    equal([events[0].Api, events[0].HttpStatusCode], ["ListRooms", 200]);
  }
});

test("options of other services change nothing", async (region) => {
  await letIn(
    client(region, {
      dynamoDbCrc32: true,
      s3ForcePathStyle: true,
      s3BucketEndpoint: true,
      s3DisableBodySigning: true,
      s3UsEast1RegionalEndpoint: "regional",
      s3UseArnRegion: true,
      stsRegionalEndpoints: "regional",
      useAccelerateEndpoint: true,
    }),
  );
});

await main();
