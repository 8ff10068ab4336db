/** Quotas and retries through the AWS SDK for JavaScript v2; the service has AWS's request rates. */

import { equal, holds, main, refused, test } from "./harness.mjs";
import "./limits.mjs";
import { client, counted } from "./v2_client.mjs";

const RATE = 5; // of ListRooms in a second, as AWS states it
const BURST = 8 * RATE;

/** Sends many requests at once; returns the response of each, refused or not. */
function burst(ivschat, count = BURST) {
  const one = () =>
    new Promise((resolve) => {
      ivschat.listRooms({}, function () {
        resolve(this);
      });
    });
  return Promise.all(Array.from({ length: count }, one));
}

test("maxRetries: 0 shows ThrottlingException with its members", async (region) => {
  const ivschat = client(region, { maxRetries: 0 });
  const counter = counted(ivschat);
  const responses = await burst(ivschat);
  const refusals = responses.filter((response) => response.error);
  equal(counter.attempts, BURST, "attempts");
  holds(refusals.length > 0 && refusals.length <= BURST - RATE, "a burst of five is allowed");
  for (const { error } of refusals) {
    await refused(Promise.reject(error), "ThrottlingException", {
      status: 429,
      retryable: true,
      limit: RATE,
      resourceType: "ROOM",
    });
    holds(error.resourceId, "the error names the resource");
  }
});

test("maxRetries: 2 makes three attempts, with the delays of customBackoff", async (region) => {
  const asked = [];
  const customBackoff = (count, error) => {
    asked.push([count, error.code]);
    return 0;
  };
  const ivschat = client(region, { maxRetries: 2, retryDelayOptions: { customBackoff } });
  const counter = counted(ivschat);
  const responses = await burst(ivschat);
  const refusals = responses.filter((response) => response.error);
  holds(refusals.length > 0, "some requests are refused three times");
  for (const { error, retryCount } of refusals) {
    equal([error.code, retryCount], ["ThrottlingException", 2]);
  }
  const retries = responses.reduce((sum, response) => sum + response.retryCount, 0);
  equal(counter.attempts, BURST + retries, "attempts");
  equal(asked.length, retries, "questions for a delay");
  holds(asked.every(([count, code]) => count < 2 && code === "ThrottlingException"), "two retries");
});

test("customBackoff: a negative delay ends the attempts", async (region) => {
  const retryDelayOptions = { customBackoff: () => -1 };
  const ivschat = client(region, { maxRetries: 5, retryDelayOptions });
  const responses = await burst(ivschat);
  const refusals = responses.filter((response) => response.error);
  holds(refusals.length > 0, "some requests are refused");
  equal(refusals.map((response) => response.error.code), refusals.map(() => "ThrottlingException"));
});

test("retryDelayOptions.base: retries wait until all have succeeded", async (region) => {
  const ivschat = client(region, { maxRetries: 12, retryDelayOptions: { base: 20 } });
  await burst(client(region, { maxRetries: 0 }));
  const responses = await burst(ivschat, RATE + 1);
  equal(responses.map((response) => response.error), responses.map(() => null));
  holds(responses.some((response) => response.retryCount > 0), "some were retried");
});

test("errors that are the caller's fault are not retried", async (region) => {
  const ivschat = client(region, { retryDelayOptions: { base: 1 } });
  const counter = counted(ivschat);
  await refused(ivschat.getRoom({ identifier: "nothing" }).promise(), "ValidationException");
  const stranger = client(region, { accessKeyId: "AKIAIOSFODNN7EXAMPLE" });
  const strangers = counted(stranger);
  await refused(stranger.listRooms().promise(), "UnrecognizedClientException");
  equal([counter.attempts, strangers.attempts], [1, 1]);
});

await main();
