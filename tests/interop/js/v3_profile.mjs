/** The AWS SDK for JavaScript v3 with nothing but a profile, which assumes a role. */

import { IvschatClient, ListRoomsCommand, CreateRoomCommand } from "@aws-sdk/client-ivschat";

const client = new IvschatClient({ maxAttempts: 1 });
const { rooms } = await client.send(new ListRoomsCommand({}));
const refusal = await client.send(new CreateRoomCommand({})).catch((error) => error);
console.log(JSON.stringify({ rooms, refused: refusal.name, message: refusal.message }));
