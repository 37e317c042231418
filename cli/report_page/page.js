"use strict";
// All text of the file reaches the page through textContent: nothing of it is ever markup.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

const whole = new Intl.NumberFormat("en");
const known = (x) => x !== null && x !== undefined;
const figure = (x, digits = 3) => (known(x) ? Number(x).toPrecision(digits) : "");
const percent = (x) => (known(x) ? (x === 0 ? "0" : (100 * x).toPrecision(3)) + "%" : "");

// What cannot be seen is spelled as the commands spell it, spaces at the ends of a token stand out by its frame.
const NAMES = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
const visible = (text) => text.replace(/[\p{C}\p{Zl}\p{Zp}\\]/gu, (c) => NAMES[c] ||
  (c.codePointAt() < 256 ? "\\x" + hex(c, 2) : c.codePointAt() < 65536 ? "\\u" + hex(c, 4) : "\\U" + hex(c, 8)));
const hex = (c, digits) => c.codePointAt().toString(16).padStart(digits, "0");

function bytes(n) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) { n /= 1000; unit += 1; }
  return unit ? `${n.toFixed(1)} ${units[unit]}` : `${n} bytes`;
}

const tensors = data.tensors;
const shape = (t) => t.shape.join(" × ");
const matrix = (t) => t.shape.length > 1; // vectors are small and seldom quantized: colours are for the rest
const withErrors = tensors.some((t) => known(t.relative));

// ------------------------------------------------------------------------------------------------ what colours show

const MEASURES = {
  bpw: { label: "bits per weight", of: (t) => t.bpw, show: (x) => figure(x, 3), log: true },
  relative: { label: "relative RMS error", of: (t) => t.relative, show: percent },
  worst: { label: "worst block's error", of: (t) => t.worst, show: percent },
  rms: { label: "root mean square", of: (t) => t.rms, show: (x) => figure(x), log: true },
  crest: { label: "largest weight ÷ RMS", of: (t) => t.crest, show: (x) => figure(x), log: true },
};
let measure = "bpw";

function heats() {
  const { of, log } = MEASURES[measure];
  const scale = (x) => (log ? Math.log(Math.max(x, 1e-30)) : x);
  const values = (tensors.some(matrix) ? tensors.filter(matrix) : tensors).map(of).filter((x) => known(x) && (!log || x > 0)).map(scale);
  const low = Math.min(...values), high = Math.max(...values);
  const heat = (t) => {
    const x = of(t);
    return !known(x) || (log && x <= 0) || high === low ? 0 : Math.min(1, Math.max(0, (scale(x) - low) / (high - low)));
  };
  const back = (x) => (log ? Math.exp(x) : x);
  return { heat, low: back(low), high: back(high), any: values.length > 0 };
}

// ----------------------------------------------------------------------------------------------- layers and roles

const cells = new Map();
let chosen = null;

function place(name) {
  const match = /^(.*?)\bblk\.(\d+)\.(.+)$/.exec(name);
  if (match) return { layer: match[1] + match[2], role: match[3].replace(/\.weight$/, "") };
  return { layer: "", role: name.replace(/\.weight$/, "") };
}

function drawMap() {
  const layers = new Map(), roles = [];
  const alone = [];
  for (const t of tensors) {
    const { layer, role } = place(t.name);
    if (layer === "") { alone.push([role, t]); continue; }
    if (!layers.has(layer)) layers.set(layer, new Map());
    layers.get(layer).set(role, t);
    if (!roles.includes(role)) roles.push(role);
  }
  const head = make("tr", {}, make("th", { scope: "col" }, "layer"));
  for (const role of roles) head.append(make("th", { scope: "col" }, role));
  const body = make("tbody");
  const order = [...layers.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  for (const layer of order) {
    const row = make("tr", {}, make("th", { scope: "row" }, layer));
    for (const role of roles) {
      const t = layers.get(layer).get(role);
      row.append(make("td", {}, ...(t ? [cell(t)] : [])));
    }
    body.append(row);
  }
  for (const [role, t] of alone) {
    const others = make("td", { colSpan: Math.max(1, roles.length) }, cell(t));
    body.append(make("tr", {}, make("th", { scope: "row" }, role), others));
  }
  $("map").replaceChildren(...(roles.length ? [make("thead", {}, head)] : []), body);
  const first = body.querySelector("button");
  if (first) first.tabIndex = 0;
  body.addEventListener("keydown", move);
}

function cell(t) {
  const button = make("button", { type: "button", tabIndex: -1, ariaPressed: "false" });
  button.addEventListener("click", () => choose(t, true));
  cells.set(t.name, button);
  return button;
}

function move(event) {
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const step = steps[event.key];
  if (!step) return;
  event.preventDefault();
  const rows = [...$("map").tBodies[0].rows].map((row) => [...row.cells].slice(1));
  const at = event.target.closest("td");
  let y = rows.findIndex((row) => row.includes(at)), x = rows[y].indexOf(at);
  for (;;) {
    y += step[0]; x += step[1];
    if (!rows[y] || x < 0 || x >= Math.max(...rows.map((row) => row.length))) return;
    const next = (rows[y][x] ?? rows[y][0])?.querySelector("button");
    if (next) {
      event.target.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      return;
    }
  }
}

function paint() {
  const { heat, low, high, any } = heats();
  const { of, show, label } = MEASURES[measure];
  for (const t of tensors) {
    const button = cells.get(t.name);
    button.textContent = measure === "bpw" ? t.type : show(of(t)) || "–";
    button.title = `${t.name}: ${t.type}, ${shape(t)}`;
    button.ariaLabel = `${t.name}, ${t.type}, ${label} ${show(of(t)) || "unknown"}`;
    button.className = matrix(t) ? "" : "vector";
    button.style.setProperty("--heat", heat(t).toFixed(3));
  }
  const ends = any ? [show(low), make("span", { className: "ramp" }), show(high)] : ["unknown"];
  const apart = tensors.some(matrix) && !tensors.every(matrix) ? ["; vectors have no colour"] : [];
  $("legend").replaceChildren(label + ": ", ...ends, ...apart);
}

// ------------------------------------------------------------------------------------------------- one tensor's weights

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function histogram(t) {
  const width = 520, height = 132, base = height - 1, most = Math.max(...t.histogram, 1);
  const step = width / t.histogram.length;
  const bars = t.histogram.map((count, i) => {
    const h = count ? Math.max(1, (count / most) * (base - 6)) : 0;
    return svg("rect", { x: (i * step + 0.5).toFixed(2), y: (base - h).toFixed(2), width: (step - 1).toFixed(2), height: h.toFixed(2) });
  });
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Histogram of ${t.name}` },
    ...bars, svg("line", { x1: 0, x2: width, y1: base, y2: base }));
  const marks = [-t.reach, 0, t.reach].map((x) => make("span", {}, x ? figure(x) : "0"));
  const counted = whole.format(t.histogram.reduce((a, b) => a + b));
  const hint = make("p", { className: "hint" }, `${counted} of ${whole.format(t.weights)} weights; the outermost bars are all beyond four times the RMS.`);
  return make("div", {}, picture, make("div", { className: "axis" }, ...marks), hint);
}

// The place of a weight of the flattened tensor on each axis, as everywhere: rows before columns.
function placeOf(t, at) {
  return t.shape.reduceRight((found, size) => { found.unshift(at % size); at = Math.floor(at / size); return found; }, []).join(", ");
}

function choose(t, scroll) {
  if (chosen) cells.get(chosen.name).ariaPressed = "false";
  chosen = t;
  cells.get(t.name).ariaPressed = "true";
  const rows = [
    ["type", `${t.type}, ${figure(t.bpw, 4)} bits per weight`],
    ["shape", shape(t)],
    ["bytes", whole.format(t.bytes)],
    ["mean", figure(t.mean)],
    ["root mean square", figure(t.rms)],
    ["least, most", known(t.least) ? `${figure(t.least)}, ${figure(t.most)}` : ""],
    ["largest ÷ RMS", figure(t.crest)],
    ["RMS of groups of 256", t.scales ? `${figure(t.scales[0])} to ${figure(t.scales[2])}, median ${figure(t.scales[1])}` : ""],
    ["relative RMS error", percent(t.relative)],
    ["cosine", known(t.cosine) ? t.cosine.toFixed(7) : ""],
    ["largest error", figure(t.largest)],
    ["worst group of 256", known(t.worst) ? `${percent(t.worst)} from [${placeOf(t, t.worst_at)}] on` : ""],
    ["", t.note || ""],
  ];
  const figures = rows.filter(([, v]) => v).map(([k, v]) => make("div", {}, make("dt", {}, k), make("dd", {}, v)));
  const picture = t.histogram ? histogram(t) : make("p", { className: "hint" }, "no histogram");
  $("detail").replaceChildren(make("h3", { className: "mono" }, visible(t.name)), make("div", { className: "pair" }, picture, make("dl", { className: "figures" }, ...figures)));
  if (scroll) $("detail").scrollIntoView({ block: "nearest" });
}

// ------------------------------------------------------------------------------------------------------------- tables

function sortable(table, columns, items, start) {
  let by = start, up = true, shown = items;
  const head = make("tr");
  const headers = columns.map((column, i) => {
    const button = make("button", { type: "button" }, column.label);
    button.addEventListener("click", () => { up = by === i ? !up : !column.number; by = i; draw(); });
    const th = make("th", { scope: "col", className: column.number ? "n" : "" }, button);
    head.append(th);
    return th;
  });
  const body = make("tbody");
  table.replaceChildren(make("thead", {}, head), body);
  function draw() {
    headers.forEach((th, i) => th.setAttribute("aria-sort", i !== by ? "none" : up ? "ascending" : "descending"));
    const key = by === null ? null : columns[by].key;
    const sorted = key === null ? shown : [...shown].sort((a, b) => {
      const x = key(a), y = key(b);
      if (!known(x) || !known(y)) return known(x) ? -1 : known(y) ? 1 : 0;
      const order = typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true });
      return up ? order : -order;
    });
    body.replaceChildren(...sorted.map((item) => make("tr", {}, ...columns.map((c) => {
      const content = c.show(item);
      return make("td", { className: c.number ? "n" : c.className || "" }, content instanceof Node ? content : String(content));
    }))));
  }
  draw();
  return (kept) => { shown = kept; draw(); };
}

function filtering(input, redraw, items, text) {
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    redraw(items.filter((item) => words.every((w) => text(item).toLowerCase().includes(w))));
  });
}

function drawTypes() {
  const by = new Map();
  for (const t of tensors) {
    const sum = by.get(t.type) || { type: t.type, count: 0, weights: 0, bytes: 0 };
    sum.count += 1; sum.weights += t.weights; sum.bytes += t.bytes;
    by.set(t.type, sum);
  }
  const total = tensors.reduce((s, t) => s + t.bytes, 0);
  sortable($("types"), [
    { label: "type", key: (s) => s.type, show: (s) => s.type },
    { label: "tensors", number: true, key: (s) => s.count, show: (s) => whole.format(s.count) },
    { label: "weights", number: true, key: (s) => s.weights, show: (s) => whole.format(s.weights) },
    { label: "size", number: true, key: (s) => s.bytes, show: (s) => bytes(s.bytes) },
    { label: "share", number: true, key: (s) => s.bytes, show: (s) => percent(s.bytes / total) },
    { label: "", key: (s) => s.bytes, show: (s) => make("span", { className: "share", style: `width:${Math.round((160 * s.bytes) / total)}px` }) },
  ], [...by.values()].sort((a, b) => b.bytes - a.bytes), null);
}

function drawTensors() {
  const pick = (t) => {
    const link = make("a", { href: "#map-title", className: "mono" }, visible(t.name));
    link.addEventListener("click", (event) => { event.preventDefault(); choose(t, false); $("detail").scrollIntoView({ block: "center" }); });
    return link;
  };
  const number = (label, of, show) => ({ label, number: true, key: of, show: (t) => show(of(t)) });
  const columns = [
    { label: "tensor", key: (t) => t.name, show: pick },
    { label: "type", key: (t) => t.type, show: (t) => t.type },
    { label: "shape", number: true, key: (t) => t.weights, show: shape },
    number("size", (t) => t.bytes, bytes),
    number("bits per weight", (t) => t.bpw, (x) => figure(x, 4)),
    number("RMS", (t) => t.rms, figure),
    number("largest ÷ RMS", (t) => t.crest, figure),
  ];
  if (withErrors) {
    columns.push(
      number("relative RMS error", (t) => t.relative, percent),
      number("cosine", (t) => t.cosine, (x) => (known(x) ? x.toFixed(6) : "")),
      number("worst block", (t) => t.worst, percent));
  }
  filtering($("tensor-filter"), sortable($("tensor-table"), columns, tensors, null), tensors, (t) => `${t.name} ${t.type}`);
}

function drawMetadata() {
  const columns = [
    { label: "key", key: (m) => m.key, show: (m) => make("span", { className: "mono" }, visible(m.key)) },
    { label: "type", key: (m) => m.type, show: (m) => m.type },
    { label: "value", key: (m) => m.value, show: (m) => m.value, className: "long mono" },
  ];
  filtering($("metadata-filter"), sortable($("metadata-table"), columns, data.metadata, null), data.metadata, (m) => `${m.key} ${m.value}`);
}

const MOST_TOKENS = 300;

function drawTokens() {
  const tokens = data.tokens;
  if (!tokens) return;
  $("vocabulary").hidden = false;
  const kinds = ["", "normal", "unknown", "control", "user defined", "unused", "byte"];
  const kind = (t) => kinds[data.token_types[t.id]] || "";
  const list = tokens.map((text, id) => ({ id, text }));
  const columns = [
    { label: "id", number: true, key: (t) => t.id, show: (t) => t.id },
    { label: "token", key: (t) => t.text, show: (t) => make("code", { className: "token" }, visible(t.text)), className: "long" },
    { label: "kind", key: kind, show: kind },
  ];
  const say = (found) => { $("token-count").textContent = `${whole.format(found)} of ${whole.format(tokens.length)} tokens` + (found > MOST_TOKENS ? `, the first ${MOST_TOKENS} shown` : ""); };
  const redraw = sortable($("token-table"), columns, list.slice(0, MOST_TOKENS), null);
  say(list.length);
  $("token-filter").addEventListener("input", (event) => {
    const wanted = event.target.value, lower = wanted.trim().toLowerCase();
    const exact = list.filter((t) => t.text === wanted || String(t.id) === lower);
    const rest = list.filter((t) => !exact.includes(t) && (lower === "" || t.text.toLowerCase().includes(lower)));
    say(exact.length + rest.length);
    redraw([...exact, ...rest].slice(0, MOST_TOKENS));
  });
}

function drawTemplates() {
  if (!data.templates.length) return;
  $("templates").hidden = false;
  for (const [name, text] of data.templates) {
    if (data.templates.length > 1) $("templates").append(make("h3", {}, name));
    const parts = text.split(/(\{%[\s\S]*?%\}|\{\{[\s\S]*?\}\}|\{#[\s\S]*?#\})/).filter(Boolean);
    const kind = { "{%": "tag", "{{": "value", "{#": "comment" };
    const code = make("code", {}, ...parts.map((part) => (kind[part.slice(0, 2)] ? make("span", { className: kind[part.slice(0, 2)] }, part) : part)));
    $("templates").append(make("pre", { tabIndex: 0 }, code));
  }
}

// ------------------------------------------------------------------------------------------------------------- the page

$("file").textContent = visible(data.file);
$("name").textContent = visible(data.name);
$("facts").replaceChildren(...data.facts.map(([k, v]) => make("div", {}, make("dt", {}, k), make("dd", {}, v))));
$("footer").textContent = visible(data.footer);
for (const [key, { label, of }] of Object.entries(MEASURES)) {
  if (tensors.some((t) => known(of(t)))) $("measure").append(make("option", { value: key }, label));
}
$("measure").addEventListener("change", (event) => { measure = event.target.value; paint(); });
if (!tensors.length) {
  for (const id of ["map", "types", "tensor-table"]) $(id).closest("section").hidden = true;
} else {
  drawMap();
  paint();
  choose(tensors.reduce((a, b) => (b.weights > a.weights ? b : a)), false);
  drawTypes();
  drawTensors();
}
drawMetadata();
drawTokens();
drawTemplates();
document.documentElement.dataset.ready = "yes";
