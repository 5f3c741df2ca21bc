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

// A part of the page that is replaced as a whole, by what comes under the event's name, with seconds of rest
// between: <section data-live="URL" data-event="charts" data-rest="5">.
function renew(part) {
  const rest = 1000 * Number(part.dataset.rest || 0);
  let newest = null;
  let resting = false;
  // Not under the reader's hands: whoever is in it by keyboard keeps their place.
  const inUse = () => part.contains(document.activeElement);

  async function show() {
    if (newest === null || resting || inUse()) return;
    resting = true;
    const html = newest;
    newest = null;
    const made = document.createElement("div");
    made.innerHTML = html;
    await Promise.all([...made.querySelectorAll("img")].map(loaded));
    if (inUse()) newest ??= html;
    else replace(part, made);
    setTimeout(() => {
      resting = false;
      show();
    }, rest);
  }

  stream(part.dataset.live).addEventListener(part.dataset.event || "part", (event) => {
    newest = event.data;
    show();
  });
  part.addEventListener("focusout", () => setTimeout(show));
}

// An image that can be shown at once, or never: nothing waits longer than ten seconds for it.
function loaded(image) {
  image.loading = "eager";
  const late = new Promise((resolve) => setTimeout(resolve, 10000));
  return Promise.race([image.decode().catch(() => undefined), late]);
}

// What the reader opened stays open, and where they looked they go on looking.
function replace(part, made) {
  part.querySelectorAll("details[id][open]").forEach((old) => {
    const same = made.querySelector(`details[id="${old.id}"]`);
    if (same !== null) same.open = true;
  });
  const places = [...part.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
  part.replaceChildren(...made.childNodes);
  part.querySelectorAll(".scroll").forEach((each, at) => (each.scrollLeft = places[at] || 0));
}

document.querySelectorAll("[data-tail]").forEach(follow);
document.querySelectorAll("[data-live]").forEach(renew);
