// What an application does with its caches of queries: all of it has to be accepted, and what is marked has to be refused.

import { QueryClient } from "@tanstack/query-core";
import { mutate, useSWRConfig } from "swr";
import { createSync } from "tidegate";
import { bindQueryClient, bindSwr } from "tidegate/query";

const sync = createSync({ entities: ["order"], state: true });
const off = bindQueryClient(sync, new QueryClient(), {
  keys: { order: (id) => [["orders"], ["order", id]] },
  set: { order: (id, data, event) => [[["order", id], data], [["at", id], event.timestamp]] },
  state: { order: (orders) => [[["orders"], [...orders.values()]]] },
  all: [["orders"]],
  debounceMs: 50,
});
off();

bindSwr(sync, mutate, { keys: { order: (id) => ["/orders", `/orders/${id}`] } });
bindSwr(sync, useSWRConfig().mutate, { set: { order: (id, data) => [[`/orders/${id}`, data]] } });

// @ts-expect-error A key of TanStack Query is a list.
bindQueryClient(sync, new QueryClient(), { keys: { order: (id) => [`order/${id}`] } });
// @ts-expect-error An entry is a key and its value.
bindSwr(sync, mutate, { set: { order: (id) => [`/orders/${id}`] } });
