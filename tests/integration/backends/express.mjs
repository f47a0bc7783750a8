// A shop as Express applications are written: compressed answers, weak ETags, links made of Host, a page of status.
// Its port is the first argument.
import compression from "compression";
import express from "express";
import { createHandler } from "graphql-http/lib/use/express";
import { buildSchema } from "graphql";

const app = express();
app.set("trust proxy", true);
app.use(compression({ threshold: 0 }));
app.use(express.json());

const orders = new Map();
let busySeconds = 0;
let searches = 0;
let lists = 0;
let depth = 3;

for (let number = 1; number <= 3; number += 1) {
  orders.set(`A-${number}`, { orderID: `A-${number}`, stage: "placed", total: 12.5, customer: { id: 7, name: "Zoë" } });
}

function shown(request, order) {
  return { ...order, self: `${request.protocol}://${request.host}/orders/${order.orderID}` };
}

app.get("/orders", (request, response) => {
  lists += 1;
  if (busySeconds > 0) {
    return response.status(429).set("Retry-After", String(busySeconds)).json({ error: "too many requests" });
  }
  const wanted = [...orders.values()].filter((order) => !request.query.stage || order.stage === request.query.stage);
  response.set("X-Total-Count", String(wanted.length));
  return response.json({ docs: wanted.map((order) => shown(request, order)) });
});

app.post("/orders/search", (request, response) => {
  searches += 1;
  response.json([...orders.values()].filter((order) => order.stage === request.body.stage));
});

app.patch("/orders/:id", (request, response) => {
  const order = orders.get(request.params.id);
  if (!order) {
    return response.status(404).json({ error: "no such order" });
  }
  Object.assign(order, request.body);
  return response.json(shown(request, order));
});

app.delete("/orders/:id", (request, response) => {
  orders.delete(request.params.id);
  response.status(204).end();
});

// One object, whose age is another in every answer.
app.get("/status", (request, response) => {
  response.json({ status: depth > 5 ? "late" : "fine", queue: { depth }, ageMs: Math.round(process.uptime() * 1e6) });
});

// An object whose member names are the keys.
app.get("/folders", (request, response) => {
  response.json(Object.fromEntries([...orders.values()].map((order) => [order.orderID, { state: order.stage }])));
});

// What a test changes, and asks.
app.put("/told", (request, response) => {
  busySeconds = request.body.busySeconds ?? busySeconds;
  depth = request.body.depth ?? depth;
  response.json({ lists, searches });
});

const schema = buildSchema(`
  type Customer { id: ID!, name: String! }
  type Order { orderID: ID!, stage: String!, total: Float!, customer: Customer! }
  type Query { orders(stage: String): [Order!]! }
  type Mutation { move(orderID: ID!, stage: String!): Order! }
`);
const rootValue = {
  orders: ({ stage }) => [...orders.values()].filter((order) => !stage || order.stage === stage),
  move: ({ orderID, stage }) => Object.assign(orders.get(orderID), { stage }),
};
app.all("/graphql", createHandler({ schema, rootValue }));

app.listen(Number(process.argv[2]), "127.0.0.1");
