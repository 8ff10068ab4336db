// A live show with a chat: viewers' tokens and goals.
import { Ivschat } from "@aws-sdk/client-ivschat";

const ivschat = new Ivschat();

export class Show {
  static async create(name) {
    const show = new Show();
    show.room = (await ivschat.createRoom({ name })).arn;
    return show;
  }

  token(viewer) {
    return ivschat.createChatToken({
      roomIdentifier: this.room,
      userId: viewer,
      capabilities: ["SEND_MESSAGE"],
    });
  }

  goal(team) {
    return ivschat.sendEvent({ roomIdentifier: this.room, eventName: "GOAL", attributes: { team } });
  }
}
