// React in a document without a window. The packages are found through NODE_PATH, since which React it is differs.

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { JSDOM } = require("jsdom");
const { window } = new JSDOM("<!doctype html><body></body>", { url: "http://gateway.test" });
const listening = Object.fromEntries(
  ["addEventListener", "removeEventListener"].map((name) => [name, window[name].bind(window)]),
);
const { document, location } = window;
Object.assign(globalThis, { window, document, location, ...listening, IS_REACT_ACT_ENVIRONMENT: true });
// Node 20 has none, and later ones have one that can only be read.
globalThis.navigator ??= window.navigator;

export const React = require("react");
export const { renderToString } = require("react-dom/server");
const { createRoot, hydrateRoot } = require("react-dom/client");
export const { act, createElement: h } = React.act ? React : { ...React, act: require("react-dom/test-utils").act };

/** Shows an element; gives `{container, render(element), unmount(), text()}`. */
export async function show(element, { strict = false, hydrate = null } = {}) {
  const container = document.createElement("div");
  document.body.append(container);
  const wrapped = (inner) => (strict ? h(React.StrictMode, null, inner) : inner);
  let root;
  await act(async () => {
    if (hydrate === null) {
      root = createRoot(container);
      root.render(wrapped(element));
    } else {
      container.innerHTML = hydrate;
      root = hydrateRoot(container, wrapped(element));
    }
  });
  return {
    container,
    text: () => container.textContent,
    render: (next) => act(async () => root.render(wrapped(next))),
    unmount: () => act(async () => root.unmount()),
  };
}
