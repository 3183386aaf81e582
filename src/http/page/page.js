"use strict";

const element = (id) => document.getElementById(id);
let events = null;
let locked = false;

/** Shows the form or the box. */
function show(paired) {
  element("pair").hidden = paired;
  element("box").hidden = !paired;
}

/** Shows a status document; every word of it goes in as text. */
function draw(status) {
  element("box-name").textContent = status.name;
  const phase = element("phase");
  phase.textContent = status.phase.replace("-", " ").toUpperCase();
  phase.className = status.phase;
  const input = status.input;
  locked = input.signal === "locked";
  const facts = [
    ["Input", [input.device, input.mode ?? input.signal].join(", ")],
    ["Showing", status.program.showing ?? "nothing"],
    ["Bitrate", `${(status.stats.bitrate / 1e6).toFixed(1)} Mbit/s`],
    ...status.uplinks.map((uplink) => [uplink.source, uplink.state]),
    ...broadcast(status.broadcast),
  ];
  element("facts").replaceChildren(...facts.flatMap(([name, value]) => {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    text.textContent = value;
    return [term, text];
  }));
  element("faults").replaceChildren(...status.faults.map((fault) => {
    const item = document.createElement("li");
    item.textContent = `${fault.text}. ${fault.advice}`;
    return item;
  }));
}

/** What the Studio says of the Broadcast: beside the picture, before it is public too. */
function broadcast(of) {
  if (!of) return [];
  const seen = of["source-active"] === undefined ? [] : [["The Studio gets it", of["source-active"] ? "yes" : "not yet"]];
  const viewers = of.viewers === undefined ? [] : [["Viewers", `${of.viewers}`]];
  return [["Broadcast", of.state.replaceAll("-", " ")], ...seen, ...viewers, ...(of.notes ?? []).map((note) => ["Note", note])];
}

/** Asks for the newest picture of the input. */
function look() {
  if (locked && !document.hidden) element("picture").src = `/preview.jpg?${Date.now()}`;
}

/** Follows the box, or asks for the PIN. */
async function follow() {
  events?.close();
  events = null;
  let answer;
  try {
    answer = await fetch("/api/v1/status");
  } catch {
    setTimeout(follow, 2000);
    return;
  }
  show(answer.status !== 401);
  if (answer.status === 401) return;
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    element("box-name").textContent = problem.detail ?? "The box does not answer";
    setTimeout(follow, 2000);
    return;
  }
  draw(await answer.json());
  look();
  events = new EventSource("/api/v1/events");
  events.addEventListener("status", (event) => draw(JSON.parse(event.data)));
  // Gone, or revoked: the status tells which.
  events.addEventListener("error", () => {
    events?.close();
    events = null;
    setTimeout(follow, 1000);
  });
}

element("pair").addEventListener("submit", async (event) => {
  event.preventDefault();
  element("refusal").textContent = "";
  try {
    const answer = await fetch("/api/v1/pair", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ pin: element("pin").value, name: element("name").value.trim() }),
    });
    if (answer.ok) {
      element("pin").value = "";
      return follow();
    }
    element("refusal").textContent = (await answer.json()).detail;
  } catch {
    element("refusal").textContent = "The box does not answer";
  }
});

setInterval(() => {
  if (events) look();
}, 2000);

follow();
