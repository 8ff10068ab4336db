/**
 * What comes of requests through the AWS SDK for JavaScript v2, and what its validator says.
 *
 * Takes one JSON object on its standard input. `requests` are made one after another, each by a
 * client of its own: `{options, operation, params, unsigned}`. `validations` are looked at by
 * `model`, the full model of the service: `{operation, params, rules}`. Prints both outcomes.
 */

import AWS from "aws-sdk";

AWS.config.maxRetries = undefined;
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { requests, validations, model } = JSON.parse(Buffer.concat(chunks));

function methodOf(operation) {
  return operation[0].toLowerCase() + operation.slice(1);
}

function shown(error) {
  const { code, message, statusCode, requestId, retryable, ...rest } = error;
  const members = {};
  for (const name of ["reason", "fieldList", "resourceId", "resourceType", "limit"]) {
    if (error[name] !== undefined) members[name] = error[name];
  }
  return { code, message, statusCode, requestId, retryable: Boolean(retryable), members };
}

async function outcome({ options, operation, params, unsigned }) {
  const { systemClockOffset, ...own } = options;
  AWS.config.systemClockOffset = systemClockOffset ?? 0;
  const ivschat = new AWS.Ivschat(own);
  AWS.config.systemClockOffset = 0;
  return new Promise((resolve) => {
    const done = function (error, data) {
      const { retryCount, redirectCount, requestId } = this;
      const counts = { retryCount, redirectCount };
      if (error) resolve({ error: shown(error), ...counts });
      else resolve({ data: { ...data }, requestId, ...counts });
    };
    const make = unsigned ? "makeUnauthenticatedRequest" : "makeRequest";
    ivschat[make](methodOf(operation), params, done);
  });
}

const api = new AWS.Service({ apiConfig: model, endpoint: "http://nowhere", region: "r" }).api;

function judged({ operation, params, rules }) {
  try {
    const { input } = api.operations[methodOf(operation)];
    new AWS.ParamValidator(rules).validate(input, params);
    return null;
  } catch ({ code, message }) {
    return { code, message };
  }
}

const outcomes = [];
for (const request of requests) outcomes.push(await outcome(request));
const judgements = validations.map(judged);
process.stdout.write(JSON.stringify({ outcomes, judgements }), () => process.exit());
