/** Charts of what is watched: how jobs, inputs and results do over time, and how far they moved. Needs uPlot. */

import { fill, h, svg } from "./dom.js";

const LEVELS = { "too few": "Too few to say", steady: "Steady", watch: "Worth a look", alert: "Alert" };
const GROUPS = { degradation: "What comes in", output: "What goes out", evidence: "How well it holds" };

const day = (seconds) => new Date(seconds * 1000).toLocaleDateString(undefined, { dateStyle: "medium" });
const short = (value) => (value === null || value === undefined ? "–" : Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))));
const sum = (values) => values.reduce((a, b) => a + (b ?? 0), 0);

/** A colour of the page, for what is drawn on a canvas. */
const tone = (name) => {
  const probe = h("span", {});
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

/** The numbers of a chart as a table, for who cannot see it or wants them. */
function numbers(heads, rows) {
  return h("details", { class: "numbers" }, h("summary", {}, "Numbers"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Numbers" },
      h("table", {}, h("thead", {}, h("tr", {}, heads.map((t) => h("th", { scope: "col" }, t)))),
        h("tbody", {}, rows.map((row) => h("tr", {}, row.map((v, i) => (i ? h("td", {}, String(v)) : h("th", { scope: "row" }, String(v))))))))));
}

/** Lines or bars over time. */
function overTime(title, unit, at, lines, bars = false) {
  const place = h("div", { class: "plot", role: "img", "aria-label": `${title}: ${lines.map((l) => `${l.label} ${short(l.values.findLast((v) => v !== null))}`).join(", ")}, last` });
  const draw = () => {
    fill(place);
    const axis = { stroke: tone("soft"), grid: { stroke: tone("line"), width: 1 }, ticks: { stroke: tone("line") } };
    const paths = bars ? uPlot.paths.bars({ size: [0.8, 40] }) : undefined;
    new uPlot({
      width: Math.max(260, place.clientWidth || 420), height: 180, legend: { live: true }, cursor: { points: { size: 6 } },
      // a single point gets the day around it; the library would show years
      scales: { x: { range: (_, low, high) => (at.length > 1 ? [low, high] : [at[0] - 43200, at[0] + 43200]) }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [axis, { ...axis, size: 54 }],
      series: [{}, ...lines.map((l) => ({ label: l.label + (unit && ` (${unit})`), stroke: tone(l.color), fill: bars ? tone(l.color) : undefined, width: 2, paths, points: { show: !bars, size: 4 }, spanGaps: true }))],
    }, [at, ...lines.map((l) => l.values)], place);
  };
  const card = h("section", { class: "card chart" }, h("h3", {}, title), place,
    numbers(["From", ...lines.map((l) => l.label)], at.map((t, i) => [new Date(t * 1000).toLocaleString(), ...lines.map((l) => short(l.values[i]))]).filter((row) => row.slice(1).some((v) => v !== "–" && v !== "0"))));
  return { card, draw };
}

/** Two histograms on the same bins, as shares. */
function spread(panel, named) {
  const { bins, counts, reference, drift } = panel;
  const total = sum(counts) || 1;
  const before = reference ? sum(reference) || 1 : 1;
  const most = Math.max(...counts.map((n) => n / total), ...(reference ?? []).map((n) => n / before), 0.01);
  const used = bins.map((_, i) => i).filter((i) => i < bins.length - 1 || counts[i] || reference?.[i]);
  const width = 100 / used.length;
  const said = `${panel.label}: ${used.map((i) => `${bins[i]} ${Math.round((100 * counts[i]) / total)} %`).join(", ")}`;
  const drawn = svg("svg", { viewBox: "0 0 100 42", preserveAspectRatio: "none", class: "spread", role: "img", "aria-label": said });
  const bar = (x, share, kind, wide) => {
    const tall = (40 * share) / most;
    drawn.append(svg("rect", { x, y: 42 - tall, width: wide, height: tall, class: kind }));
  };
  used.forEach((i, place) => {
    if (reference) bar(place * width + 0.08 * width, reference[i] / before, "was", 0.4 * width);
    bar(place * width + (reference ? 0.5 : 0.08) * width, counts[i] / total, "is", (reference ? 0.4 : 0.82) * width);
  });
  const percent = (n, of) => `${((100 * n) / of).toFixed(1)} %`;
  return h("section", { class: `card chart ${drift?.level ?? ""}` },
    h("h3", {}, panel.label, panel.unit && h("span", { class: "soft small" }, ` ${panel.unit}`)),
    drift && h("p", { class: "level" }, h("strong", { class: drift.level.replace(" ", "-") }, LEVELS[drift.level]), ` PSI ${short(drift.psi)}, KS ${short(drift.ks)}`),
    drawn, h("p", { class: "ends soft small" }, h("span", {}, bins[used[0]]), h("span", {}, bins[used.at(-1)])),
    numbers(["Bin", "Now", ...(reference ? [named] : [])], used.map((i) => [bins[i], percent(counts[i], total), ...(reference ? [percent(reference[i], before)] : [])])));
}

/** The table of what moved. */
function moved(panels, reference) {
  const known = panels.filter((p) => p.drift);
  if (!reference) return h("p", { class: "soft" }, "No reference window is named: tratto monitor --reference FROM..TO --keep names one.");
  const order = ["alert", "watch", "steady", "too few"];
  known.sort((a, b) => order.indexOf(a.drift.level) - order.indexOf(b.drift.level) || b.drift.psi - a.drift.psi);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Drift" }, h("table", { class: "drift" },
    h("caption", {}, `Against ${reference.name}: ${reference.observed} results from ${day(reference.from)} to ${day(reference.to)}`),
    h("thead", {}, h("tr", {}, ["Quantity", "State", "PSI", "by chance up to", "KS", "by chance up to", "Results"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {}, known.map(({ label, drift: d }) => h("tr", {}, h("th", { scope: "row" }, label),
      h("td", {}, h("strong", { class: d.level.replace(" ", "-") }, LEVELS[d.level])), [d.psi, d.psi_chance, d.ks, d.ks_chance, d.window].map((v) => h("td", {}, short(v))))))));
}

/**
 * Build the page of a summary.
 *
 * @param {Object} data What `GET /api/v1/monitor` answers.
 * @returns {{element: HTMLElement, draw: function()}} `draw` is called when the element stands in the document.
 */
export function monitorCharts(data) {
  const { series: s, states, queue, panels, reference, window: span } = data;
  const plots = [];
  const add = (...given) => { const made = overTime(...given); plots.push(made.draw); return made.card; };
  const done = states.done ?? 0;
  const failed = states.failed ?? 0;
  const alerts = panels.filter((p) => p.drift?.level === "alert").length;
  const middle = s.seconds_median.filter((v) => v !== null).sort((a, b) => a - b);
  const tile = (value, text, kind = "") => h("div", { class: `tile ${kind}` }, h("strong", {}, value), h("span", {}, text));
  const tiles = h("div", { class: "tiles" }, tile(String(done), "done"), tile(String(failed), "failed", failed ? "wrong" : ""),
    tile(middle.length ? `${short(middle[Math.floor(middle.length / 2)])} s` : "–", "a job, typically"),
    queue && tile(String(queue.queued), `waiting, ${queue.running} at work`),
    reference && tile(String(alerts), alerts === 1 ? "quantity has drifted" : "quantities have drifted", alerts ? "wrong" : ""));
  const charts = [
    add("Throughput", "", s.at, [{ label: "done", values: s.done, color: "accent" }], true),
    failed ? add("Failures", "", s.at, [{ label: "failed", values: s.failed, color: "stop" }], true) : null,
    add("Time for a job", "s", s.at, [{ label: "median", values: s.seconds_median, color: "accent" }, { label: "95 %", values: s.seconds_95, color: "edge" }]),
    s.waiting && add("Waiting", "jobs", s.at, [{ label: "at the end of each bar", values: s.waiting, color: "accent" }], true),
    s.waiting && add("Time in the queue", "s", s.at, [{ label: "median", values: s.waited_median, color: "accent" }]),
    add("Expected error", "1/255", s.at, [{ label: "mean", values: s.error, color: "accent" }]),
    ...data.scores.map((score) => add(score.name.replaceAll("_", " "), "", s.at, [{ label: "mean", values: score.mean, color: "accent" }])),
  ];
  const groups = Object.entries(GROUPS).map(([group, title]) => {
    const of = panels.filter((p) => p.group === group);
    return of.length ? [h("h2", {}, title), h("div", { class: "charts" }, of.map((p) => spread(p, reference?.name)))] : null;
  });
  const element = h("div", { class: "monitor" }, h("p", { class: "soft" }, `${span.observed} results from ${day(span.from)} to ${day(span.to)}. `,
    reference && [h("span", { class: "key was" }), ` ${reference.name} `, h("span", { class: "key is" }), " now"]),
  tiles, h("h2", {}, "Drift"), moved([...panels], reference), h("h2", {}, "Over time"), h("div", { class: "charts" }, charts), groups);
  return { element, draw: () => plots.forEach((draw) => draw()) };
}
