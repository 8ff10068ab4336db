/** What a client sees at a quota of the service; request rates: `v2_limits.mjs`, `v3_limits.mjs`. */

import { call, matches, refused, test } from "./harness.mjs";

test("ServiceQuotaExceededException tells the limit", async (region) => {
  const destinationConfiguration = { s3: { bucketName: "bucket" } };
  const make = () => call(region, "CreateLoggingConfiguration", { destinationConfiguration });
  for (let made = 0; made < 10; made += 1) await make();
  const error = await refused(make(), "ServiceQuotaExceededException", {
    status: 402,
    limit: 10,
    resourceType: "LOGGING_CONFIGURATION",
  });
  matches(error.resourceId, /^[a-zA-Z0-9]{12}$/, "the resource's id");
});
