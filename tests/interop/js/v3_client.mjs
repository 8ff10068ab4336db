/** The AWS SDK for JavaScript v3 as the client under test, in Node and in a page. */

import * as sdk from "@aws-sdk/client-ivschat";

import { settings, use } from "./harness.mjs";

const { accessKeyId, secretAccessKey, endpoint } = settings;
const made = new Map();

/** Constructs a client; what `options` do not say is as a user would say it. */
export function client(region, options = {}) {
  const credentials = { accessKeyId, secretAccessKey };
  return new sdk.IvschatClient({ endpoint, region, credentials, ...options });
}

export function send(ivschat, operation, parameters) {
  return ivschat.send(new sdk[`${operation}Command`](parameters));
}

use(async (region, operation, parameters) => {
  if (!made.has(region)) made.set(region, client(region));
  const { $metadata, ...answer } = await send(made.get(region), operation, parameters);
  return answer;
});

export { endpoint, sdk };
