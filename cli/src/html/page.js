"use strict";
const HEIGHT = 22, SHOWN = 64 * 1024;
const byId = (id) => document.getElementById(id);
const [rowsBox, tall, pane, find, pick] = ["rows", "tall", "pane", "find", "pick"].map(byId);
let traces = [], trace = null, visible = [], selected = 0, closed = new Set(), hits = new Set();

const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};

const duration = (nanos) => {
  if (nanos === null) return "running";
  if (nanos < 1e3) return nanos + "ns";
  if (nanos < 1e6) return (nanos / 1e3).toFixed(0) + "µs";
  if (nanos < 1e9) return (nanos / 1e6).toFixed(nanos < 1e7 ? 1 : 0) + "ms";
  if (nanos < 6e10) return (nanos / 1e9).toFixed(2) + "s";
  return Math.floor(nanos / 6e10) + "m" + String(Math.floor((nanos % 6e10) / 1e9)).padStart(2, "0") + "s";
};

// Rows that are not inside a closed span; a span's `end` is one past its last descendant.
const layOut = () => {
  visible = [];
  for (let at = 0; at < trace.spans.length; at = closed.has(at) ? trace.spans[at].end : at + 1) visible.push(at);
  tall.style.height = visible.length * HEIGHT + "px";
  draw();
};

const SVG = "http://www.w3.org/2000/svg";
const bar = (span) => {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "bar");
  svg.setAttribute("viewBox", "0 0 1000 12");
  svg.setAttribute("preserveAspectRatio", "none");
  const total = Math.max(trace.duration_ns, 1);
  const length = span.duration_ns === null ? total - span.offset_ns : span.duration_ns;
  const rect = document.createElementNS(SVG, "rect");
  rect.setAttribute("x", (span.offset_ns / total) * 1000);
  rect.setAttribute("width", Math.max((length / total) * 1000, 2));
  rect.setAttribute("height", 12);
  svg.append(rect);
  return svg;
};

const rowOf = (place) => {
  const at = visible[place], span = trace.spans[at];
  const row = make("div", "row " + span.type.replace(/[^A-Z_]/g, ""));
  row.style.top = place * HEIGHT + "px";
  if (place === selected) row.classList.add("sel");
  if (hits.has(at)) row.classList.add("hit");
  if (span.status === "error") row.classList.add("bad");
  const name = make("span", "name");
  name.style.paddingLeft = Math.min(span.depth, 24) * 14 + "px";
  const fold = span.end > at + 1 ? (closed.has(at) ? "▸" : "▾") : "";
  name.append(make("span", "fold", fold), make("span", "type", span.type), (span.status === "error" ? "✗ " : "") + span.name);
  if (span.orphan) name.append(make("span", "type after", "parent not received"));
  name.title = span.name;
  row.append(name, make("span", "num", duration(span.duration_ns)), bar(span));
  row.onclick = (event) => {
    select(place);
    if (event.target.className === "fold") toggle();
  };
  return row;
};

const draw = () => {
  const first = Math.max(Math.floor(rowsBox.scrollTop / HEIGHT) - 5, 0);
  const last = Math.min(first + Math.ceil(rowsBox.clientHeight / HEIGHT) + 10, visible.length);
  const shown = [tall];
  for (let place = first; place < last; place++) shown.push(rowOf(place));
  rowsBox.replaceChildren(...shown);
};

const section = (title, text, className) => {
  if (!text) return;
  const pre = make("pre", className, text.slice(0, SHOWN));
  pane.append(make("h3", "", title), pre);
  if (text.length > SHOWN) {
    const more = make("button", "", "show " + (text.length - SHOWN) + " characters more");
    more.onclick = () => { pre.textContent = text; more.remove(); };
    pane.append(more);
  }
};

const readable = (value) => typeof value === "string" ? value : value === null ? "" : JSON.stringify(value, null, 2);

const select = (place) => {
  selected = Math.max(0, Math.min(place, visible.length - 1));
  const top = selected * HEIGHT;
  if (top < rowsBox.scrollTop) rowsBox.scrollTop = top;
  if (top + HEIGHT > rowsBox.scrollTop + rowsBox.clientHeight) rowsBox.scrollTop = top + HEIGHT - rowsBox.clientHeight;
  const span = trace.spans[visible[selected]];
  pane.replaceChildren();
  if (span) {
    pane.append(make("h2", "", span.type + " " + span.name));
    pane.append(make("div", "facts", [span.span_id, duration(span.duration_ns), span.status, span.model, span.tokens, span.cost].filter(Boolean).join(" · ")));
    section("error", span.error, "error");
    section("inputs", readable(span.inputs));
    section("outputs", readable(span.outputs));
    section("attributes", Object.keys(span.attributes).length ? readable(span.attributes) : "");
    section("events", span.events.length ? readable(span.events) : "");
  }
  draw();
};

const toggle = () => {
  const at = visible[selected];
  if (trace.spans[at].end === at + 1) return;
  closed.has(at) ? closed.delete(at) : closed.add(at);
  layOut();
};

const goTo = (at) => {
  for (const one of [...closed]) if (one < at && at < trace.spans[one].end) closed.delete(one);
  layOut();
  select(visible.indexOf(at));
};

const next = (fits, step) => {
  const count = trace.spans.length, from = visible[selected];
  for (let by = 1; by <= count; by++) {
    const at = (from + step * by + count * 2) % count;
    if (fits(at)) return goTo(at);
  }
};

const search = () => {
  const text = find.value.toLowerCase();
  hits = new Set();
  if (text) trace.spans.forEach((span, at) => {
    span.text ??= JSON.stringify([span.name, span.type, span.error, span.inputs, span.outputs, span.attributes, span.events]).toLowerCase();
    if (span.text.includes(text)) hits.add(at);
  });
  byId("hits").textContent = text ? hits.size + (hits.size === 1 ? " span" : " spans") : "";
  draw();
};

const open = (index) => {
  trace = traces[index];
  closed = new Set();
  find.value = "";
  hits = new Set();
  layOut();
  select(0);
};

const KEYS = {
  j: () => select(selected + 1), ArrowDown: () => select(selected + 1),
  k: () => select(selected - 1), ArrowUp: () => select(selected - 1),
  g: () => select(0), G: () => select(visible.length - 1),
  PageDown: () => select(selected + 20), PageUp: () => select(selected - 20),
  h: () => { if (!closed.has(visible[selected])) toggle(); },
  l: () => { if (closed.has(visible[selected])) toggle(); },
  Enter: toggle,
  n: () => next((at) => trace.spans[at].status === "error", 1),
  N: () => next((at) => trace.spans[at].status === "error", -1),
  "/": () => find.focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.target === find) {
    if (event.key === "Enter" && hits.size) next((at) => hits.has(at), event.shiftKey ? -1 : 1);
    if (event.key === "Escape") rowsBox.focus();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});

const start = async () => {
  const packed = Uint8Array.from(atob(byId("data").textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  traces = await new Response(stream).json();
  traces.forEach((one, index) => {
    const option = make("option", "", [one.state, one.name, one.start.slice(0, 19).replace("T", " "), duration(one.duration_ns)].join(" · "));
    option.value = index;
    pick.append(option);
  });
  pick.onchange = () => { open(+pick.value); rowsBox.focus(); };
  find.oninput = search;
  rowsBox.onscroll = draw;
  window.onresize = draw;
  if (traces.length) open(0);
  rowsBox.focus();
  document.body.dataset.ready = "true";
};
start();
