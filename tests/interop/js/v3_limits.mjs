/** Quotas and retries through the AWS SDK for JavaScript v3; the service has AWS's request rates. */

import { equal, holds, main, refused, test } from "./harness.mjs";
import "./limits.mjs";
import { client, sdk, send } from "./v3_client.mjs";

const RATE = 5; // of ListRooms in a second, as AWS states it
const BURST = 8 * RATE;

function burst(ivschat, count) {
  const one = () => send(ivschat, "ListRooms", {});
  return Promise.allSettled(Array.from({ length: count }, one));
}

test("one attempt shows ThrottlingException with its members", async (region) => {
  const results = await burst(client(region, { maxAttempts: 1 }), BURST);
  const refusals = results.filter((result) => result.status === "rejected");
  holds(refusals.length > 0 && refusals.length <= BURST - RATE, "a burst of five is allowed");
  for (const { reason } of refusals) {
    holds(reason instanceof sdk.ThrottlingException, "its class");
    await refused(Promise.reject(reason), "ThrottlingException", {
      status: 429,
      limit: RATE,
      resourceType: "ROOM",
    });
    equal(reason.$metadata.attempts, 1);
  }
});

test("maxAttempts: refused requests are tried again until all have succeeded", async (region) => {
  await burst(client(region, { maxAttempts: 1 }), BURST);
  const results = await burst(client(region, { maxAttempts: 12 }), RATE + 1);
  for (const { reason } of results) if (reason) throw reason;
  const attempts = results.map((result) => result.value.$metadata.attempts);
  holds(attempts.some((count) => count > 1), "some were tried again");
});

await main();
