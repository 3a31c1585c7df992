/* Makes the chart of a measure one to look into: read values off, zoom, move. The server draws; this
 * module only asks it for other stretches. Without it the links above the chart do the same. */

const card = document.querySelector("[data-chart]");
const SHORTEST_MS = 10 * 60_000;
const WIDTH = 2000;
let view = null;
let asked = 0;

class View {
  constructor(root) {
    this.root = root;
    this.from = Number(root.dataset.from);
    this.until = Number(root.dataset.until);
    this.earliest = Number(root.dataset.earliest);
    this.latest = Number(root.dataset.latest);
    this.places = JSON.parse(root.dataset.places);
    this.field = root.querySelector("[data-field]");
    this.readout = root.querySelector("[data-readout]");
    this.index = -1;
  }

  get span() {
    return this.until - this.from;
  }

  /** Where a pointer is, 0 to 2000. */
  at(event) {
    const box = this.field.getBoundingClientRect();
    return Math.min(WIDTH, Math.max(0, ((event.clientX - box.left) / box.width) * WIDTH));
  }

  time(x) {
    return Math.round(this.from + (x / WIDTH) * this.span);
  }

  nearest(x) {
    let best = -1;
    for (let n = 0; n < this.places.length; n += 1) {
      if (best < 0 || Math.abs(this.places[n][0] - x) < Math.abs(this.places[best][0] - x)) best = n;
    }
    return best;
  }

  show(index) {
    const place = this.places[index];
    if (!place) return;
    this.index = index;
    const [x, y, words] = place;
    this.root.querySelector(".hair").setAttribute("d", `M${x} 0V1000`);
    this.root.querySelector(".spot").setAttribute("d", `M${x} ${y}h0`);
    this.readout.textContent = words;
  }

  choose(a, b) {
    const chosen = this.root.querySelector(".chosen");
    chosen.setAttribute("x", String(Math.min(a, b)));
    chosen.setAttribute("width", String(Math.abs(a - b)));
  }
}

function attach() {
  view = new View(card.querySelector(".window"));
  if (!view.field) return;
  const { field } = view;
  field.tabIndex = 0;
  field.setAttribute("role", "application");
  field.setAttribute("aria-label", `${card.dataset.name}. ${card.dataset.help}`);
  let start = null;
  field.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = view.at(event);
    if (event.pointerType !== "touch") field.setPointerCapture(event.pointerId);
  });
  field.addEventListener("pointermove", (event) => {
    const x = view.at(event);
    view.show(view.nearest(x));
    if (start !== null) view.choose(start, x);
  });
  field.addEventListener("pointerup", (event) => {
    const from = start;
    start = null;
    view.choose(0, 0);
    if (from === null) return;
    const x = view.at(event);
    if (Math.abs(x - from) > 20) go(view.time(Math.min(x, from)), view.time(Math.max(x, from)), true);
    else view.show(view.nearest(x));
  });
  field.addEventListener("pointercancel", () => {
    start = null;
    view.choose(0, 0);
  });
  field.addEventListener("keydown", press);
  field.addEventListener("focus", () => {
    if (view.index < 0) view.show(view.places.length - 1);
  });
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const action = keys(event);
  if (!action) return;
  event.preventDefault();
  action();
}

function keys(event) {
  const sign = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (sign && event.shiftKey) return () => go(view.from + (sign * view.span) / 2, view.until + (sign * view.span) / 2);
  if (sign) return () => view.show(Math.min(view.places.length - 1, Math.max(0, view.index + sign)));
  return {
    "+": () => zoom(0.5),
    "=": () => zoom(0.5),
    "-": () => zoom(2),
    0: () => go(view.earliest, view.latest + 1),
    Home: () => view.show(0),
    End: () => view.show(view.places.length - 1),
  }[event.key];
}

/** Zoom around the value that is read off, else around the middle. */
function zoom(factor) {
  const middle = view.index < 0 ? (view.from + view.until) / 2 : view.time(view.places[view.index][0]);
  const share = (middle - view.from) / view.span;
  const span = view.span * factor;
  go(middle - share * span, middle + (1 - share) * span);
}

async function go(from, until, fromPointer = false) {
  const whole = view.latest + 1 - view.earliest;
  let span = Math.max(SHORTEST_MS, Math.min(until - from, Math.max(whole, SHORTEST_MS)));
  let start = Math.min(Math.max(from, view.earliest), Math.max(view.latest + 1 - span, view.earliest));
  start = Math.round(start);
  span = Math.round(span);
  await load(`from=${start}&until=${start + span}`, !fromPointer);
}

async function load(query, focus, push = true) {
  asked += 1;
  const mine = asked;
  card.classList.add("is-loading");
  try {
    const answer = await fetch(`${card.dataset.address}.json?${query}`, { cache: "no-store" });
    if (!answer.ok) {
      location.assign(`${card.dataset.address}?${query}`);
      return;
    }
    const { html } = await answer.json();
    if (mine !== asked) return;
    const open = card.querySelector(".values")?.open ?? false;
    card.innerHTML = html;
    const values = card.querySelector(".values");
    if (values) values.open = open;
    if (push) history.pushState({ query }, "", `${card.dataset.address}?${query}`);
    attach();
    if (focus) view.field?.focus();
  } finally {
    if (mine === asked) card.classList.remove("is-loading");
  }
}

card.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-zoom]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  load(new URL(link.href).search.slice(1), false).then(() => {
    const step = link.dataset.step;
    const again = step ? card.querySelector(`[data-step="${step}"]`) : card.querySelector(".zoom a[aria-current]");
    again?.focus();
  });
});

window.addEventListener("popstate", () => load(location.search.slice(1), false, false));

attach();
