/** The AWS SDK for JavaScript v2: a user's life through `IAM`, a role's session through `STS`. */

import aws from "aws-sdk";

const { endpoint, accessKeyId, secretAccessKey, account } = JSON.parse(process.argv[2]);
const options = { endpoint, region: "us-east-1", maxRetries: 0 };
const root = { ...options, accessKeyId, secretAccessKey };
const iam = new aws.IAM(root);
const UserName = "of-js";
const RoleName = "of-js";

function allow(action, principal) {
  const scope = principal ? { Principal: principal } : { Resource: "*" };
  const Statement = [{ Effect: "Allow", Action: action, ...scope }];
  return JSON.stringify({ Version: "2012-10-17", Statement });
}

const { User } = await iam
  .createUser({ UserName, Tags: [{ Key: "größe", Value: "½ + 1" }] })
  .promise();
const { AccessKey } = await iam.createAccessKey({ UserName }).promise();
const key = {
  accessKeyId: AccessKey.AccessKeyId,
  secretAccessKey: AccessKey.SecretAccessKey,
};
const PolicyDocument = allow(["sts:AssumeRole", "ivschat:ListRooms"]);
await iam.putUserPolicy({ UserName, PolicyName: "p", PolicyDocument }).promise();
const read = await iam.getUserPolicy({ UserName, PolicyName: "p" }).promise();
const AssumeRolePolicyDocument = allow("sts:AssumeRole", { AWS: account });
const { Role } = await iam.createRole({ RoleName, AssumeRolePolicyDocument }).promise();
const create = { PolicyName: "p", PolicyDocument: allow("ivschat:CreateRoom") };
await iam.putRolePolicy({ RoleName, ...create }).promise();
const sts = new aws.STS({ ...options, ...key });
const session = await sts.assumeRole({ RoleArn: Role.Arn, RoleSessionName: "js" }).promise();
const { AccessKeyId, SecretAccessKey, SessionToken } = session.Credentials;
const credentials = new aws.Credentials(AccessKeyId, SecretAccessKey, SessionToken);
const room = await new aws.Ivschat({ ...options, credentials }).createRoom().promise();
const missing = await iam.getUser({ UserName: "nobody" }).promise().catch((error) => error);

console.log(
  JSON.stringify({
    tags: User.Tags,
    created: User.CreateDate instanceof Date,
    document: decodeURIComponent(read.PolicyDocument) === PolicyDocument,
    expires: session.Credentials.Expiration > new Date(),
    room: room.arn,
    missing: [missing.code, missing.statusCode, missing.requestId.length],
  }),
);
