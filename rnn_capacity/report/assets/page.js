"use strict";
(() => {
const FEW = 2500; // marks: up to so many are drawn as SVG, which prints well and can be read aloud
const MOST_LINES = 2000; // of the parallel coordinates
const FIRST_LINES = 100;
const ROW = 46; // pixels between its axes
const NEAR = 14; // pixels: how far from a line one may point
const PALETTE = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C8C8C"]; // Okabe and Ito's
const SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "stroke"];
const dark = matchMedia("(prefers-color-scheme: dark)");
const byId = (id) => document.getElementById(id);

// --- Data ------------------------------------------------------------------------------------------------------------

const data = JSON.parse(byId("data").textContent);
const columnsOf = (packed) =>
  Object.fromEntries(Object.entries(packed).map(([name, c]) => [name, Array.isArray(c) ? c : c.at.map((i) => c.of[i])]));

/** A specification with its tables as rows again, and black as the ink of the page. */
function unpacked(spec, ink) {
  if (Array.isArray(spec)) return spec.map((value) => unpacked(value, ink));
  if (spec === "#000000" || spec === "black") return ink;
  if (spec === null || typeof spec !== "object") return spec;
  if (!spec.packed) return Object.fromEntries(Object.entries(spec).map(([name, value]) => [name, unpacked(value, ink)]));
  const columns = Object.entries(columnsOf(spec.packed));
  const row = (i) => Object.fromEntries(columns.map(([name, values]) => [name, values[i]]));
  return columns[0][1].map((_, i) => row(i));
}

const key = (source, study) => JSON.stringify([source, study]);
const studies = new Map(data.studies.map((study) => [key(study.source, study.study), study]));
for (const study of data.studies) {
  study.columns = columnsOf(study.trials);
  study.numbers = study.columns.number ?? [];
  study.place = new Map(study.numbers.map((number, i) => [number, i]));
}
const lengthOf = (column) => (Array.isArray(column) ? column : column.at).length;

/** About how many marks a specification draws. */
function countRows(spec) {
  if (spec === null || typeof spec !== "object") return 0;
  if (spec.packed) return lengthOf(Object.values(spec.packed)[0]);
  return Object.values(spec).reduce((sum, value) => sum + countRows(value), 0);
}

/** As people read them. */
function show(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return Math.abs(value) < 1e4 ? String(value) : value.toLocaleString("en");
  const size = Math.abs(value);
  return size < 1e-3 || size >= 1e6 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

// --- Charts ----------------------------------------------------------------------------------------------------------

/** As many columns as the longest names of cells leave room for, whatever their order, beside an axis and depths. */
function legendColumns(width, rows) {
  const widths = [...new Set(rows.map((row) => row.cell ?? ""))].map((name) => 32 + 7 * name.length).sort((a, b) => b - a);
  let used = new Set(rows.map((row) => row.depth)).size > 1 ? 140 : 50;
  const fit = widths.findIndex((one) => (used += one) > width);
  return Math.max(2, Math.min(Math.floor(width / 64), fit < 0 ? Infinity : fit));
}

function theme(width, ink, columns) {
  const font = getComputedStyle(document.body).fontFamily;
  return {
    background: null,
    font,
    view: { stroke: null },
    axis: {
      labelColor: ink, titleColor: ink, tickColor: ink, domainColor: ink, gridColor: ink,
      gridOpacity: 0.12, domainOpacity: 0.35, tickOpacity: 0.35, labelOpacity: 0.8,
      labelFontSize: 11.5, titleFontSize: 12, titleFontWeight: 500, titlePadding: 8, labelPadding: 4,
      tickSize: 4, labelOverlap: true,
    },
    axisX: { grid: false },
    legend: {
      orient: "top", direction: "horizontal", columns, labelColor: ink, titleColor: ink, labelFontSize: 11.5,
      titleFontSize: 12, titleFontWeight: 500, symbolSize: 70, rowPadding: 3, columnPadding: 12, labelLimit: 160, symbolOpacity: 1,
    },
    title: { color: ink, subtitleColor: ink, fontSize: 13, fontWeight: 600, anchor: "start" },
    header: { labelColor: ink, titleColor: ink },
    text: { color: ink, fontSize: 11.5 },
    rule: { color: ink },
    point: { filled: true, size: 55, opacity: 0.85, tooltip: true },
    circle: { tooltip: true },
    square: { tooltip: true },
    line: { strokeWidth: 1.8 },
    bar: { color: PALETTE[0], tooltip: true },
    range: { category: PALETTE, symbol: SHAPES, ramp: viridis(), heatmap: viridis() },
  };
}

// The end that would vanish in the background is left out.
const viridis = () => ({ name: "viridis", extent: dark.matches ? [0.25, 1] : [0, 0.9] });

const drawn = new Map(); // element -> what vegaEmbed gave
let turn = Promise.resolve();

/** One after the other, so that the page answers meanwhile. */
function draw(element, spec, marks = countRows(spec)) {
  turn = turn.then(async () => {
    const { color, backgroundColor } = getComputedStyle(document.body);
    const svg = marks <= FEW;
    const ink = svg ? "currentColor" : color; // an SVG follows the page into print; a canvas keeps what is drawn
    element.style.setProperty("--drawn-on", backgroundColor);
    const full = { width: "container", height: 240, ...unpacked(spec, ink) };
    full.autosize = { type: "fit-x", contains: "padding" };
    const width = element.clientWidth, columns = legendColumns(width, full.data?.values ?? []);
    drawn.get(element)?.finalize();
    const embedded = await vegaEmbed(element, full, {
      mode: "vega-lite", actions: false, ast: true, config: theme(width, ink, columns), defaultStyle: false,
      tooltip: element.id === "parallel" ? false : (_, event, item, value) => hover(element, event, item, value),
      renderer: svg ? "svg" : "canvas",
    });
    drawn.set(element, embedded);
  });
  return turn;
}

async function drawAll() {
  document.documentElement.dataset.drawn = "no";
  for (const element of document.querySelectorAll("[data-chart]")) {
    await draw(element, data.charts[element.dataset.chart]);
  }
  if (data.studies.length) await drawExplorer();
  document.documentElement.dataset.drawn = "yes";
}

// --- What is said of a point -----------------------------------------------------------------------------------------

const tip = byId("tip");
const tag = (name, text, className) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};

function definitions(entries) {
  const list = tag("dl");
  for (const [name, value] of entries) {
    const pair = tag("div");
    pair.append(tag("dt", name), tag("dd", show(value)));
    list.append(pair);
  }
  return list;
}

const REFERENCE = ["source", "study", "number"]; // by which a datum of any chart is a trial
const forDrawing = (name) => name.startsWith("_") || name.startsWith("xOffset"); // the latter by Vega-Lite's own hand

/** What a chart tells of a datum; of a trial also its score and hparams. */
function describe(datum, told) {
  const study = datum && studies.get(key(datum.source, datum.study));
  const i = study?.place.get(datum.number);
  const fields = Object.entries(typeof told === "object" ? told : { "": told }).filter(([name]) => !forDrawing(name));
  if (i === undefined) return fields.length ? [definitions(fields)] : [];
  const note = study.columns.note[i];
  const best = datum.number === study.best ? "best" : "";
  const title = tag("p", study.study, "of");
  const heading = tag("p", `Trial ${datum.number}`, "title");
  heading.append(...[note, best].filter(Boolean).map((word) => tag("span", word)));
  const hparams = study.hparams.map((h) => [h.name, study.columns[h.name][i]]).filter(([, value]) => value !== null);
  const own = fields.filter(([name]) => !REFERENCE.includes(name) && name !== study.score);
  return [title, heading, definitions([[study.score, study.columns.score[i]], ...own]), definitions(hparams)];
}

function tell(content, x, y) {
  tip.hidden = !content.length;
  if (tip.hidden) return;
  tip.replaceChildren(...content);
  const { width, height } = tip.getBoundingClientRect();
  const { clientWidth, clientHeight } = document.documentElement;
  tip.style.left = `${Math.max(8, x + 16 + width > clientWidth ? Math.min(x - width - 16, clientWidth - width - 8) : x + 16)}px`;
  tip.style.top = `${Math.max(8, Math.min(y + 12, clientHeight - height - 8))}px`;
}

function hover(element, event, item, value) {
  const nothing = value === null || value === undefined || value === "";
  if (element.id === "scores") pick(nothing ? null : item.datum.number);
  if (nothing) tip.hidden = true; // Vega says so without an event when a drawing is made anew
  else tell(describe(item.datum, value), event.clientX, event.clientY);
}

/** The points of a drawing from left to right, each with its middle in the drawing. */
function pointsOf(view) {
  const found = [];
  const walk = (item, x, y) => {
    if (item.marktype) {
      if (item.role !== "mark" && item.marktype !== "group") return;
      const items = item.marktype === "line" || item.marktype === "area" ? item.items.slice(0, 1) : item.items;
      for (const one of items) walk(one, x, y);
    } else if (item.mark.marktype === "group") {
      for (const one of item.items) walk(one, x + (item.x ?? 0), y + (item.y ?? 0));
    } else if (item.tooltip !== null && item.tooltip !== undefined) {
      found.push({ item, x: x + (item.bounds.x1 + item.bounds.x2) / 2, y: y + (item.bounds.y1 + item.bounds.y2) / 2 });
    }
  };
  walk(view.scenegraph().root, ...view.origin());
  return found.sort((a, b) => a.x - b.x);
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
for (const chart of document.querySelectorAll(".chart")) {
  let at = -1;
  chart.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tip.hidden = true;
    if (!(event.key in STEPS) || !drawn.has(chart)) return;
    event.preventDefault();
    const points = pointsOf(drawn.get(chart).view);
    if (!points.length) return;
    at = (Math.max(at, STEPS[event.key] < 0 ? 0 : -1) + STEPS[event.key] + points.length) % points.length;
    const { item, x, y } = points[at];
    const box = chart.querySelector("svg, canvas").getBoundingClientRect();
    tell(describe(item.datum, item.tooltip), box.left + x, box.top + y);
  });
  chart.addEventListener("blur", () => { at = -1; tip.hidden = true; });
}
addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

// --- Every trial -----------------------------------------------------------------------------------------------------

const explorer = { picked: null, pinned: null }; // numbers of trials: pointed at, and clicked on
const chosen = () => data.studies[Number(byId("study").value)];

/** The trials of a study that have a score, best first. */
function ranked(study) {
  const { score } = study.columns;
  const scored = study.numbers.map((_, i) => i).filter((i) => score[i] !== null);
  return scored.sort((a, b) => study.sign * (score[b] - score[a]));
}

/** The slider's share of the lines, on a logarithmic scale: the few best are what is looked at. */
const linesAt = (share, most) => Math.max(1, Math.round(most ** (share / 100)));
const skewed = (low, high) => low > 0 && high > 30 * low;

function scores(study) {
  const { score, note } = study.columns;
  const of = { source: study.source, study: study.study };
  const rows = study.numbers.map((number, i) => ({ ...of, number, score: score[i], note: note[i] }));
  const kept = rows.filter((row) => row.score !== null);
  const climb = [];
  for (const row of kept) {
    const best = climb.at(-1)?.score;
    if (!row.note && (best === undefined || study.sign * (row.score - best) > 0)) climb.push(row);
  }
  if (climb.length) climb.push({ number: Math.max(...study.numbers), score: climb.at(-1).score });
  const many = kept.length > 500;
  const ends = (values) => [Math.min(...values), Math.max(...values)];
  const domain = kept.length ? ends(kept.map((row) => row.score)) : [0, 1];
  const y = { field: "score", type: "quantitative", title: study.score,
    scale: { domain, nice: true, type: skewed(...domain) ? "log" : "linear" } };
  const x = { field: "number", type: "quantitative", title: "trial", axis: { tickMinStep: 1 },
    scale: { domain: ends([0, ...study.numbers]), nice: false } };
  const layer = (rows, mark, encoding = {}) => ({ data: { values: rows }, mark, encoding: { x, y, ...encoding } });
  const tooltip = { field: "score", title: study.score };
  return {
    height: 300,
    params: [{ name: "picked", value: null }],
    layer: [
      layer(climb, { type: "line", interpolate: "step-after", color: PALETTE[3], tooltip: null }),
      layer(kept, { type: "point", color: dark.matches ? PALETTE[5] : PALETTE[0], opacity: many ? 0.35 : 0.75, size: many ? 18 : 45 }, { tooltip }),
      layer(rows.filter((row) => row.score === null),
        { type: "point", shape: "cross", color: "black", opacity: many ? 0.2 : 0.6, size: many ? 14 : 30 },
        { y: { value: 296 }, tooltip: { field: "number" } }),
      layer(kept.filter((row) => row.number === study.best),
        { type: "point", shape: "diamond", size: 150, color: PALETTE[3], opacity: 1 }, { tooltip }),
      { ...layer(kept, { type: "point", filled: false, size: 170, strokeWidth: 2, color: "black" }, { tooltip }),
        transform: [{ filter: "datum.number === picked" }] },
    ].filter((layer) => layer.data.values.length),
  };
}

/** Where a value lies on the axis of its dimension, 0 to 1. */
function placed(dimension, value) {
  if (dimension.options) return (dimension.options.indexOf(value) + 0.5) / dimension.options.length;
  const scale = dimension.log ? Math.log : Number;
  const [low, high] = [scale(dimension.low), scale(dimension.high)];
  return high > low ? (scale(value) - low) / (high - low) : 0.5;
}

/** The best trials of a study as lines: each a list of places, 0 to 1, and where it has none null. */
function linesOf(study, count) {
  const order = ranked(study).slice(0, count);
  const values = order.map((i) => study.columns.score[i]);
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [null, null];
  const axes = [{ name: study.score, low, high, log: skewed(low, high) }, ...study.hparams];
  const columns = [study.columns.score, ...study.hparams.map((h) => study.columns[h.name])];
  const lines = order.map((i, rank) => ({
    number: study.numbers[i],
    good: order.length > 1 ? 1 - rank / (order.length - 1) : 1,
    places: axes.map((axis, a) => (columns[a][i] === null ? null : placed(axis, columns[a][i]))),
  }));
  return { axes, lines };
}

function parallel({ axes, lines }, narrow) {
  const names = axes.map((axis) => axis.name);
  const rows = lines.toReversed().flatMap(({ number, good, places }) => // the best are drawn last, above the others
    places.map((at, place) => ({ number, good, at, place, axis: names[place] })).filter((row) => row.at !== null));
  const labels = axes.filter((axis) => axis.low !== null).flatMap((axis) => // a score that no trial has is without ends
    axis.options
      ? axis.options.map((label) => ({ axis: axis.name, at: placed(axis, label), label, side: "center" }))
      : [{ axis: axis.name, at: 0, label: show(axis.low), side: "left" },
         { axis: axis.name, at: 1, label: show(axis.high), side: "right" }]);
  const y = { field: "axis", type: "ordinal", sort: names, title: null, scale: { type: "point", domain: names, padding: 0.5 },
    axis: { domain: false, ticks: false, labelFontSize: 12, labelLimit: 170, labelPadding: 10, labelOpacity: 1 } };
  const x = { field: "at", type: "quantitative", axis: null, scale: { domain: [0, 1], nice: false, zero: false } };
  const line = { x, y, order: { field: "place" }, detail: { field: "number" } };
  const text = (side) => ({
    data: { values: labels.filter((label) => label.side === side) },
    mark: { type: "text", align: side, dy: 13, fontSize: narrow ? 9.5 : 10.5 },
    encoding: { x, y, text: { field: "label" } },
  });
  const many = lines.length > FIRST_LINES;
  const color = { field: "good", type: "quantitative", legend: null, scale: { domain: [0, 1], scheme: viridis() } };
  return {
    height: ROW * names.length,
    params: [{ name: "picked", value: null }],
    data: { values: rows },
    config: { point: { tooltip: null } },
    layer: [
      { data: { values: names.map((axis) => ({ axis })) }, mark: { type: "rule", opacity: 0.25 },
        encoding: { y, x: { datum: 0, type: "quantitative", axis: null }, x2: { datum: 1 } } },
      { mark: { type: "line", strokeWidth: many ? 1.2 : 1.8, opacity: lines.length > 500 ? 0.35 : 0.7 },
        encoding: { ...line, color } },
      { transform: [{ filter: "datum.number === picked" }], encoding: line,
        mark: { type: "line", strokeWidth: 3, color: "black", point: { size: 50, color: "black" } } },
      ...["left", "center", "right"].map(text).filter((layer) => layer.data.values.length),
    ],
  };
}

function drawExplorer() {
  const study = chosen();
  const most = Math.min(ranked(study).length, MOST_LINES);
  const count = Math.min(linesAt(Number(byId("share").value), most), most);
  const [shown, all] = [count, study.numbers.length].map((number) => number.toLocaleString("en"));
  byId("kept").textContent = count ? `the best ${shown} of ${all}` : study.numbers.length ? `none of ${all} has a score` : "none yet";
  byId("share").disabled = count === 0;
  explorer.lines = linesOf(study, count);
  pin(explorer.pinned ?? study.best);
  draw(byId("scores"), scores(study), study.numbers.length);
  return draw(byId("parallel"), parallel(explorer.lines, byId("parallel").clientWidth < 440), count);
}

/** So many lines at first as the eye can follow. */
function fitShare() {
  const most = Math.min(ranked(chosen()).length, MOST_LINES);
  byId("share").value = most > FIRST_LINES ? Math.round((100 * Math.log(FIRST_LINES)) / Math.log(most)) : 100;
}

function choose() {
  explorer.pinned = null;
  fitShare();
  return drawExplorer();
}

/** A trial that is pointed at in one of the two is seen in both. */
function pick(number) {
  if (number === explorer.picked) return;
  explorer.picked = number;
  for (const id of ["scores", "parallel"]) drawn.get(byId(id))?.view.signal("picked", number).runAsync();
}

/** Its hparams stay to be read. */
function pin(number) {
  const { source, study } = chosen();
  byId("trial").replaceChildren(...(number === null ? [] : describe({ source, study, number }, {})));
}

/** The line next to a point of the drawing; null where none is near. */
function nearest(event) {
  const view = drawn.get(byId("parallel"))?.view;
  if (!view) return null;
  const box = byId("parallel").querySelector("svg, canvas").getBoundingClientRect();
  const [left, top] = view.origin();
  const at = (event.clientX - box.left - left) / view.width();
  const row = Math.min(Math.max((event.clientY - box.top - top) / ROW - 0.5, 0), explorer.lines.axes.length - 1);
  let best = { distance: NEAR / view.width(), number: null };
  for (const { number, places } of explorer.lines.lines) {
    let [above, below] = [Math.floor(row), Math.ceil(row)];
    while (places[above] === null) above -= 1; // the first, the score, is always there
    while (below < places.length && places[below] === null) below += 1;
    if (below === places.length) below = above;
    const share = below > above ? (row - above) / (below - above) : 0;
    const distance = Math.abs(places[above] + share * (places[below] - places[above]) - at);
    if (distance < best.distance) best = { distance, number };
  }
  return best.number;
}

if (data.studies.length) {
  byId("study").addEventListener("change", choose);
  let waiting;
  byId("share").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(drawExplorer, 120);
  });
  byId("parallel").addEventListener("pointermove", (event) => {
    const { source, study } = chosen();
    const number = nearest(event);
    pick(number);
    tell(number === null ? [] : describe({ source, study, number }, {}), event.clientX, event.clientY);
  });
  byId("parallel").addEventListener("pointerleave", () => { pick(null); tip.hidden = true; });
  for (const id of ["scores", "parallel"]) {
    byId(id).addEventListener("click", () => {
      if (explorer.picked !== null) pin((explorer.pinned = explorer.picked));
    });
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-study]");
    if (!link) return;
    byId("study").value = link.dataset.study;
    choose();
  });
}

// --- The page --------------------------------------------------------------------------------------------------------

let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const one of opened) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of opened) one.open = false;
});
dark.addEventListener("change", drawAll);
if (data.studies.length) fitShare();
drawAll();
})();
