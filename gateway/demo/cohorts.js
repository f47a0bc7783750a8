// Those who stream beside those who poll, as the guard compares them.

const BADLY = {
  errorRate: "an error",
  pushLagP99Ms: "changes late",
  firstEventSuccess: "no first event",
  fallbackRate: "a fallback",
};
const OUTCOMES = { worse: "worse", fine: "no harm", undecided: "open" };
const SECTION = document.getElementById("cohorts");
const BODY = SECTION.querySelector("tbody");

const points = (share) => (share === null ? "–" : (Math.round(share * 1000) / 10).toLocaleString("en"));
const side = ({ count, share }, unit) =>
  count ? `${points(share)} % of ${Math.round(count)} ${unit === "slots" ? "moments" : "clients"}` : "nobody yet";

/** The guard's answer as a table; why there is none where nobody is compared. */
export function showCohorts({ cohorts, state }) {
  const { metrics, streaming, polling, why } = cohorts;
  const caption = metrics
    ? `${streaming} clients whom the percentage lets stream, beside ${polling} whom it has poll; ` +
      `good windows in a row: ${state.successes} of ${state.successesToPromote}`
    : why;
  SECTION.querySelector("caption").textContent = caption;
  SECTION.querySelector("thead").hidden = !metrics;
  BODY.replaceChildren(...Object.entries(metrics ?? {}).map(row));
}

function row([name, one]) {
  const cells = [
    BADLY[name] ?? name,
    side(one.streaming, one.unit),
    side(one.polling, one.unit),
    `${points(one.low)} to ${points(one.high)}`,
    points(one.margin),
    one.measured ? (OUTCOMES[one.outcome] ?? one.outcome) : "not measured",
  ];
  const element = document.createElement("tr");
  element.dataset.outcome = one.outcome;
  cells.forEach((text) => {
    element.insertCell().textContent = text;
  });
  return element;
}
