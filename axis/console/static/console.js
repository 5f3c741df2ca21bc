// Live updates. Every page works without this script; it only brings what is new sooner.
// The server sends HTML that it has escaped itself: a part of the page, or new rows of a table.
"use strict";

const streams = new Map();

// One connection for all parts of the page that come from the same address: a browser has few.
function stream(url) {
  if (streams.has(url)) return streams.get(url);
  const source = new EventSource(url);
  streams.set(url, source);
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED || document.querySelector("[data-not-live]")) return;
    const told = document.createElement("p");
    told.className = "problem";
    told.dataset.notLive = "";
    told.setAttribute("role", "alert");
    told.textContent = document.body.dataset.ended;
    document.querySelector("main h1").after(told);
  });
  return source;
}

// A table body whose newest rows come first: <tbody data-tail="URL" data-most="50">.
function follow(body) {
  const most = Number(body.dataset.most || 200);
  const source = stream(body.dataset.tail);
  let held = [];
  const button = document.querySelector("[data-pause]");
  const paused = () => button !== null && button.getAttribute("aria-pressed") === "true";

  function show(html) {
    const rows = document.createElement("tbody");
    rows.innerHTML = html;
    for (const row of [...rows.children].reverse()) {
      if (row.id && document.getElementById(row.id)) continue;
      row.classList.add("new");
      body.prepend(row);
    }
    body.querySelectorAll("tr.empty").forEach((row) => row.remove());
    while (body.rows.length > most) body.rows[body.rows.length - 1].remove();
  }

  source.addEventListener("rows", (event) => {
    if (!paused()) return show(event.data);
    held.push(event.data);
    if (held.length > most) held.shift();
    button.dataset.waiting = String(held.length);
  });
  if (button !== null) {
    button.hidden = false;
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(!paused()));
      if (paused()) return;
      held.forEach(show);
      held = [];
      delete button.dataset.waiting;
    });
  }
}

// A part of the page that is replaced as a whole: <section data-live="URL">.
function renew(part) {
  const source = stream(part.dataset.live);
  source.addEventListener("part", (event) => {
    // Not under the reader's hands: whoever is in it by keyboard keeps their place.
    if (!part.contains(document.activeElement)) part.innerHTML = event.data;
  });
}

document.querySelectorAll("[data-tail]").forEach(follow);
document.querySelectorAll("[data-live]").forEach(renew);
