// better-sse as its documentation shows it: one channel, on Node's own HTTP server.
import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const PATH = "/api/v1/sync/events";
const channel = createChannel();

async function stream(request, response) {
  const session = await createSession(request, response);
  channel.register(session);
  session.push({}, "connected");
}

async function publish(request, response) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const event = JSON.parse(Buffer.concat(parts));
  channel.broadcast(event, event.eventType);
  response.writeHead(201, { "Content-Type": "application/json", "Content-Length": 2 });
  response.end("{}");
}

const server = createServer((request, response) => {
  if (request.url !== PATH) {
    response.writeHead(404, { "Content-Length": 0 }).end();
  } else if (request.method === "POST") {
    publish(request, response);
  } else {
    stream(request, response);
  }
});

server.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }, () => {
  console.log(`better-sse serves on http://127.0.0.1:${server.address().port}`);
});
// The publishers' connections are kept, however long a load leaves one idle (Node's default is 5 s).
server.keepAliveTimeout = 3_600_000;
process.on("SIGTERM", () => process.exit(0));
