/** The AWS SDK for JavaScript v2 as the client under test. */

import AWS from "aws-sdk";
import { WebSocket } from "ws";

import { settings, use } from "./harness.mjs";

globalThis.WebSocket ??= WebSocket;

export const { accessKeyId, secretAccessKey, endpoint } = settings;

/** Constructs a client; what `options` do not say is as a user would say it. */
export function client(region, options = {}) {
  return new AWS.Ivschat({ endpoint, region, accessKeyId, secretAccessKey, ...options });
}

/** Counts the attempts of all requests that the client makes from now on. */
export function counted(ivschat) {
  const counter = { attempts: 0 };
  ivschat.on("apiCallAttempt", () => {
    counter.attempts += 1;
  });
  return counter;
}

export function methodOf(operation) {
  return operation[0].toLowerCase() + operation.slice(1);
}

use((region, operation, parameters) =>
  client(region)[methodOf(operation)](parameters).promise().then(withoutHiddenMembers),
);

/** The SDK adds `$response` to the answer, which no enumeration shows. */
function withoutHiddenMembers(answer) {
  return { ...answer };
}

export { AWS };
