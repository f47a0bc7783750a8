// Who looks at this page, in which tab, and who is about to say something. None of it is stored anywhere.

import { createSync } from "/static/tidegate.js";

const ROOM = "demo";
const TYPING_EVERY_MS = 1000;
const TYPING_LASTS_MS = 3000;
const NAMES = ["Ada", "Alan", "Barbara", "Edsger", "Grace", "Ken", "Margaret", "Niklaus", "Radia", "Tony"];

/** Each tab is somebody of its own, so it has an id and a name of its own. */
const ownId = () => `tab-${Math.random().toString(36).slice(2, 8)}`;
const someName = () => NAMES[Math.floor(Math.random() * NAMES.length)];

/** Joins the room, and shows it in `section`. */
export function joinRoom(section) {
  const part = (name) => section.querySelector(`[data-room="${name}"]`);
  const { name, text } = section.elements;
  name.value = someName();

  // A stream of its own, for it takes no part in the migration. It asks for a type of which there are no events.
  const clientId = ownId();
  const sync = createSync({ entities: ["nothing"], clientId, shared: false, enablePersistence: false, telemetry: false });
  const room = sync.presence(ROOM, { meta: { name: name.value } });
  const channel = sync.channel(ROOM);
  const nameOf = (id) => room.users[id]?.name ?? "Somebody";
  const typing = new Map();
  let saidAt = 0;

  const showUsers = () => {
    const users = Object.keys(room.users).map((id) => (id === clientId ? `${nameOf(id)} (this tab)` : nameOf(id)));
    part("users").replaceChildren(...users.sort().map(listed));
  };
  const showTyping = () => {
    const names = [...typing.keys()].map(nameOf);
    part("typing").textContent = names.length ? `${names.join(", ")} ${names.length > 1 ? "are" : "is"} typing…` : "";
  };
  const stops = (id) => {
    clearTimeout(typing.get(id));
    typing.delete(id);
    showTyping();
  };

  room.onChange(showUsers);
  channel.on("typing", (_, from) => {
    if (from !== clientId) {
      clearTimeout(typing.get(from));
      typing.set(from, setTimeout(() => stops(from), TYPING_LASTS_MS));
      showTyping();
    }
  });
  channel.on("said", (payload, from) => {
    stops(from);
    part("said").textContent = `${nameOf(from)}: ${payload.text}`;
  });
  name.addEventListener("change", () => send(room.update({ name: name.value || someName() })));
  text.addEventListener("input", () => {
    if (Date.now() - saidAt > TYPING_EVERY_MS) {
      saidAt = Date.now();
      send(channel.send("typing"));
    }
  });
  section.addEventListener("submit", (event) => {
    event.preventDefault();
    saidAt = 0;
    send(channel.send("said", { text: text.value }));
    text.value = "";
  });

  const send = (sending) => sending.catch((error) => (part("said").textContent = error.message));
  return sync;
}

function listed(text) {
  const element = document.createElement("li");
  element.textContent = text;
  return element;
}
