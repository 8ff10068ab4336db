/** The 17 operations through the AWS SDK for JavaScript v3 in a page of another origin. */

import { holds, run, settings, test } from "./harness.mjs";
import "./operations.mjs";
import "./v3_pages.mjs";

test("the page is not of the service's origin", async () => {
  holds(new URL(settings.endpoint).origin !== globalThis.location.origin, "the origins differ");
});

run((outcome) => globalThis.report(outcome)).then(() => globalThis.finish());
