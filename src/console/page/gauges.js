// The account's rate limits, one gauge each: how much of it is taken at this moment.
const THINGS = { requests: "requests", input: "input tokens", output: "output tokens", tokens: "tokens", parallel: "requests at once" };
const number = (n) => n.toLocaleString("en");

function gauge(row) {
  const whose = (row.key ? `key ${row.key}` : "account") + (row.model ? ` on ${row.model}` : "");
  const label = document.createElement("label"), used = document.createElement("output"), meter = document.createElement("meter");
  label.className = "gauge";
  label.title = `${whose}: ${number(row.used)} used, ${number(row.left)} left${row.full_in && row.used ? `, all of it again in ${row.full_in}` : ""}`;
  label.append(`${number(row.most)} ${THINGS[row.limit]}${row.per ? ` a ${row.per}` : ""}`, used, meter);
  used.textContent = number(row.used);
  Object.assign(meter, { max: row.most, high: 0.9 * row.most, optimum: 0, value: row.used }); // the highest first: a value is cut to it
  return label;
}

// rows: the ledger's report; without any the card is not shown.
export function drawLimits(card, box, rows) {
  card.hidden = rows.length === 0;
  box.replaceChildren(...rows.map(gauge));
}
