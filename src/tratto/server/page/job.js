/** Jobs: the list, and one job while it runs and when it is done. */

import { at, duration, get, isOver, jobs, post, when } from "./api.js";
import { announce, bytes, fill, h } from "./dom.js";
import { createCompare } from "./compare.js";
import { keep } from "./store.js";
import { showVerdict } from "./verify.js";

const STATES = { queued: "waiting", running: "running", paused: "paused", done: "done", failed: "failed", cancelled: "cancelled" };

/** The state of a job in words. */
export function stateWords(job) {
  if (job.wanted === "pause") return "pausing";
  if (job.wanted === "cancel") return "being cancelled";
  if (job.state === "queued" && job.position) return `waiting, ${job.position} before it`;
  if (job.state === "running") return [`${Math.round(100 * job.progress)} %`, job.stage].filter(Boolean).join(", ");
  return STATES[job.state] ?? job.state;
}

const badge = (job) => h("span", { class: `badge ${job.state}` }, STATES[job.state] ?? job.state);

/** What can be done with a job as it stands. */
function actions(app, job) {
  const what = {
    queued: ["pause", "cancel"], running: ["pause", "cancel"], paused: ["resume", "cancel"], failed: ["retry"], cancelled: ["retry"], done: [],
  }[job.state] ?? [];
  const text = { pause: "Pause", cancel: "Cancel", resume: "Resume", retry: "Retry" };
  return what.map((name) => h("button", { type: "button", "data-act": name, disabled: Boolean(job.wanted), "aria-label": `${text[name]} ${job.task} of ${job.name}`, onclick: async () => {
    try {
      await jobs.act(job.id, name);
      announce(`${text[name]}: ${job.name}`);
    } catch (error) { app.fail(error); }
  } }, text[name]));
}

/** A bar, and what is known of the time. */
function progress(job) {
  return h("div", { class: "progress" }, h("progress", { max: "1", value: job.progress, "aria-label": `Progress of ${job.name}` }),
    h("span", { class: "soft small" }, job.state === "running" ? `${stateWords(job)} · ${duration(job.seconds_left)}` : stateWords(job)));
}

/** The list of jobs. */
export async function jobsView(app) {
  let next = await jobs.load();
  const list = h("ul", { class: "job-list" });
  const more = h("button", { type: "button", onclick: async () => {
    try { next = await jobs.load(`/jobs?limit=100&cursor=${encodeURIComponent(next)}`); } catch (error) { app.fail(error); }
    render();
  } }, "Older jobs");
  const rows = new Map();
  const empty = h("p", { class: "soft" }, "Nothing has been started yet. ", h("a", { href: "#/" }, "Choose a picture"));

  function fillRow(row, job) {
    // buttons that hold the focus keep it when the row is told anew
    const focused = row.contains(document.activeElement) ? document.activeElement.dataset.act ?? "name" : null;
    const picture = ["after", "sheet", "mask"].find((role) => job.pictures?.[role]) ?? null;
    fill(row, picture ? h("img", { src: at(`/jobs/${job.id}/pictures/${picture}/preview?side=320`), alt: "", loading: "lazy" }) : h("span", { class: "no-picture" }),
      h("a", { href: `#/job/${job.id}`, "data-act": "name" }, h("b", {}, job.name), h("span", { class: "soft small" }, `${job.task} · ${when(job.created)}`)), badge(job),
      isOver(job) ? h("span", { class: "soft small grow" }, job.error?.message ?? "") : progress(job),
      h("span", { class: "row" }, actions(app, job), h("button", { type: "button", class: "quiet", "data-act": "delete", "aria-label": `Delete ${job.task} of ${job.name}`, onclick: () => removeJob(app, job) }, "Delete")));
    if (focused) (row.querySelector(`[data-act="${focused}"]`) ?? row.querySelector("a")).focus();
  }
  function render() {
    const all = jobs.list();
    for (const job of all) if (!rows.has(job.id)) rows.set(job.id, h("li", { class: "job-row" }));
    for (const job of all) fillRow(rows.get(job.id), job);
    fill(list, all.map((j) => rows.get(j.id)));
    more.hidden = !next;
    empty.hidden = all.length > 0;
  }
  const heard = ({ detail }) => (rows.has(detail.id) ? fillRow(rows.get(detail.id), detail) : render());
  const gone = ({ detail }) => { rows.get(detail.id)?.remove(); rows.delete(detail.id); empty.hidden = rows.size > 0; };
  jobs.addEventListener("job", heard);
  jobs.addEventListener("gone", gone);
  render();
  return {
    element: h("div", { class: "stack" }, h("h1", {}, "Jobs"), empty, list, more), title: "Jobs",
    close() { jobs.removeEventListener("job", heard); jobs.removeEventListener("gone", gone); },
  };
}

async function removeJob(app, job) {
  try {
    await jobs.remove(job.id);
    announce(`${job.name} deleted`);
    return true;
  } catch (error) { app.fail(error); }
  return false;
}

/** Tabs, moved between by arrow keys. */
function makeTabs(label, parts) {
  const panels = parts.map(([id, , content]) => h("div", { role: "tabpanel", id: `panel-${id}`, "aria-labelledby": `tab-${id}`, tabindex: "0", class: "tab-panel" }, content));
  const tabs = parts.map(([id, text], i) => h("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": `panel-${id}`, onclick: () => show(i) }, text));
  function show(index) {
    tabs.forEach((tab, i) => { tab.setAttribute("aria-selected", String(i === index)); tab.tabIndex = i === index ? 0 : -1; });
    panels.forEach((panel, i) => { panel.hidden = i !== index; });
    parts[index][3]?.(panels[index]);
  }
  const list = h("div", { role: "tablist", "aria-label": label, class: "choices tabs", onkeydown: (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = (tabs.indexOf(document.activeElement) + by + tabs.length) % tabs.length;
    show(next);
    tabs[next].focus();
    event.preventDefault();
    event.stopPropagation();
  } }, tabs);
  show(0);
  return h("div", { class: "tabs-box" }, list, panels);
}

const facts = (pairs) => h("dl", { class: "fact-list" }, pairs.filter(([, v]) => v !== null && v !== undefined && v !== "").map(([k, v]) => [h("dt", {}, k), h("dd", {}, v)]));
const short = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** The receipt, in what a reader asks for first, and whole below. */
function showReceipt(receipt) {
  const inputs = Object.entries(receipt.inputs ?? {});
  const outputs = Object.entries(receipt.outputs ?? {});
  return [
    facts([["Claim", receipt.claim?.status], ["Stamp", receipt.claim?.stamp], ["Forensic", receipt.forensic ? "yes" : "no"], ["Made by", [receipt.tool?.name, receipt.tool?.version].join(" ")]]),
    h("h2", {}, "Steps"), h("ol", { class: "steps" }, (receipt.steps ?? []).map((step) => h("li", {}, h("b", {}, [step.step, step.provider && `by ${step.provider}`].filter(Boolean).join(" ")), step.generative && [" ", h("span", { class: "badge" }, "invents detail")],
      facts([["Precision", step.precision], ["Seed", String(step.seed ?? "")], ...(step.models ?? []).map((m) => ["Model", `${m.id}, ${m.licence}, SHA-256 ${m.sha256?.slice(0, 12)}…`]),
        ...Object.entries(step.params ?? {}).filter(([, v]) => v !== null && short(v) !== "{}" && short(v) !== "[]").map(([k, v]) => [k.replaceAll("_", " "), short(v)])])))),
    h("h2", {}, "Files"), facts([...inputs.map(([role, f]) => [`Input ${role}`, f.file?.sha256 ? `SHA-256 ${f.file.sha256}` : "an array"]), ...outputs.map(([role, f]) => [`Output ${role}`, f.file?.sha256 ? `SHA-256 ${f.file.sha256}` : ""])]),
    h("details", {}, h("summary", {}, "The whole receipt (JSON)"), h("pre", { tabindex: "0" }, JSON.stringify(receipt, null, 2))),
  ];
}

function showRegions(regions, goTo) {
  if (!regions.length) return h("p", { class: "soft" }, "Nothing could change, or nothing did.");
  return [h("p", { class: "soft small" }, "Where the picture may have changed, the largest part first. Choose one to see it."),
    h("ol", { class: "regions" }, regions.map((r) => h("li", {}, h("button", { type: "button", class: "region-button", onclick: () => { goTo(r.box, r.index); announce(`Region ${r.index}: ${r.claim}`); } },
      h("b", {}, r.box ? `Region ${r.index}` : "The rest together"), h("span", { class: "claim" }, r.claim),
      h("span", { class: "soft small" }, [`${(100 * r.share).toPrecision(2)} % of the picture`, `${Math.round(100 * r.changed)} % of it changed`, `ΔE ${r.delta_e_mean?.toFixed(1)}, at most ${r.delta_e_max?.toFixed(1)}`,
        r.error !== null && r.error !== undefined ? `may be off by ${r.error.toFixed(1)}/255` : "no error estimated"].join(" · "))))))];
}

/** One job. */
export async function jobView(app, id) {
  let job = await jobs.whole(id);
  const head = h("div", { class: "title-row" });
  const body = h("div", { class: "stack" });
  const element = h("div", { class: "stack" }, head, body);
  let compare = null;
  let shown = "";

  function renderHead() {
    const focused = head.contains(document.activeElement) ? document.activeElement.dataset.act ?? "" : null;
    fill(head, h("h1", {}, job.name), h("span", { class: "soft" }, `${job.task} · ${when(job.created)}`), badge(job), h("span", { class: "gap" }), h("span", { class: "row" }, actions(app, job),
      isOver(job) && h("button", { type: "button", onclick: again }, "Change and run again"),
      h("button", { type: "button", class: "quiet", "data-act": "delete", onclick: async () => { if (await removeJob(app, job)) app.go("#/jobs"); } }, "Delete")));
    if (focused !== null) (head.querySelector(`[data-act="${focused}"]`) ?? head.querySelector("button"))?.focus();
  }

  function again() {
    const picture = Object.values(job.inputs)[0];
    keep("again", { upload: picture, task: job.task, options: job.options });
    app.go(`#/picture/${picture}`);
  }

  function render() {
    renderHead();
    if (!isOver(job)) {
      shown = job.state;
      fill(body, h("div", { class: "card stack narrow" }, progress(job), h("p", { class: "soft" }, "You may close this page; the job goes on, and its result waits under Jobs.")));
    } else if (shown !== job.state) {
      shown = job.state;
      if (job.state === "done") renderDone();
      else fill(body, h("div", { class: "card stack narrow" }, h("h2", {}, job.state === "failed" ? "This did not work" : "Cancelled"),
        h("p", { class: job.state === "failed" ? "wrong" : "" }, job.error?.message ?? (job.state === "failed" ? "No reason is known." : "Nothing was kept of it."))));
    }
  }

  function renderDone() {
    const base = at(`/jobs/${id}/pictures`);
    const outputs = Object.entries(job.outputs ?? {});
    compare?.close();
    const isScene = Boolean(job.pictures?.sheet) && !job.pictures.after; // a face put in has a sheet, too: of its candidates
    compare = !isScene && Object.keys(job.pictures ?? {}).length ? createCompare(base, job.pictures, job.regions ?? []) : null;
    const verdict = h("div", { role: "status" });
    const hasReceipt = Boolean(job.receipt_sha256);
    const overview = [
      job.note && h("p", {}, job.note), (job.warnings ?? []).length > 0 && h("ul", { class: "notes" }, job.warnings.map((w) => h("li", {}, w))),
      job.plan && h("pre", { tabindex: "0" }, JSON.stringify(job.plan, null, 2)),
      h("div", { class: "stack tight" }, outputs.map(([role, o], i) => h("a", { class: `button ${i === 0 ? "main" : ""} wide`, href: at(`/jobs/${id}/result${i === 0 ? "" : `?output=${role}`}`), download: o.name ?? true },
        `Download ${role}`, h("span", { class: "small" }, [o.name, o.bytes && bytes(o.bytes)].filter(Boolean).join(", ")))),
        hasReceipt && h("a", { class: "button wide", href: at(`/jobs/${id}/bundle`), download: true }, "Download with proof (bundle)"),
        hasReceipt && h("div", { class: "row even" }, [["", "Report"], ["?print=true", "Print the report"]].map(([how, text]) => h("a", { class: "button", href: at(`/jobs/${id}/report${how}`), target: "_blank", rel: "noopener" }, text))),
        hasReceipt && h("div", { class: "row even" }, h("button", { type: "button", onclick: verify }, "Verify"), !isScene && h("button", { type: "button", title: "Gives the original back, byte for byte, as a picture to work on", onclick: undo }, "Undo")),
        outputs.some(([, o]) => o.upload) && h("a", { class: "button wide", href: `#/picture/${Object.values(job.inputs)[0]}` }, "To the picture")),
      verdict,
      facts([["Signed", job.signed ?? (hasReceipt ? "no" : null)], ["Ledger entry", job.entry === null || job.entry === undefined ? null : String(job.entry)], ["Kept until", when(job.expires)]]),
    ];
    async function verify() {
      fill(verdict, h("p", { class: "soft" }, "Checking…"));
      try {
        const found = await post(`/jobs/${id}/verify`);
        fill(verdict, showVerdict(found));
        announce(found.verdict);
      } catch (error) { fill(verdict); app.fail(error); }
    }
    const tabs = [["overview", "Result", overview]];
    if (!isScene) tabs.push(["regions", `Regions${job.regions?.length ? ` (${job.regions.length})` : ""}`, showRegions(job.regions ?? [], (box, name) => compare?.goTo(box, name))]);
    if (job.pictures?.sheet) {
      tabs.push(["sheet", "Candidates", [h("p", { class: "soft small" }, "What was tried, with what each judge said; the best one has a frame."),
        h("a", { href: `${base}/sheet/preview?side=1600`, target: "_blank", rel: "noopener" }, h("img", { class: "sheet", src: `${base}/sheet/preview?side=1600`, alt: "All candidates with their scores", loading: "lazy" }))]]);
    }
    if (hasReceipt) {
      let read = false;
      tabs.push(["receipt", "Receipt", h("p", { class: "soft" }, "Reading…"), async (panel) => {
        if (read) return;
        read = true;
        try { fill(panel, showReceipt(await get(`/jobs/${id}/receipt`))); } catch (error) { read = false; app.fail(error); }
      }]);
    }
    const scene = isScene && h("div", { class: "stack" }, h("iframe", { class: "scene", title: "The scene; drag to turn it", src: at(`/jobs/${id}/viewer/index.html`) }),
      h("img", { class: "sheet", src: `${base}/sheet/preview`, alt: "The scene from all sides; below it photographs that were held out, each beside its view" }));
    fill(body, h("div", { class: "columns" }, compare?.element || scene || h("p", { class: "soft" }, "This job made no picture."), h("div", { class: "panel" }, makeTabs("About the result", tabs))));
    announce(`${job.task} of ${job.name} is done`);
  }

  async function undo() {
    try {
      const upload = await post(`/jobs/${id}/undo`);
      app.uploads.unshift(upload);
      app.tell(`This is ${upload.name} as it was, byte for byte (SHA-256 ${upload.sha256.slice(0, 12)}…).`);
      app.go(`#/picture/${upload.id}`);
    } catch (error) { app.fail(error); }
  }

  const heard = async ({ detail }) => {
    if (detail.id !== id) return;
    const over = isOver(detail) && !isOver(job);
    job = detail;
    if (over) {
      try { job = await get(`/jobs/${id}`); } catch (error) { return app.fail(error); }
    }
    render();
  };
  const gone = ({ detail }) => { if (detail.id === id) app.go("#/jobs"); };
  jobs.addEventListener("job", heard);
  jobs.addEventListener("gone", gone);
  return {
    element, title: `${job.task} of ${job.name}`, shown: render, keys: (event) => compare?.keys(event) ?? false,
    next(by) {
      const all = jobs.list();
      const i = all.findIndex((j) => j.id === id);
      if (all.length > 1) app.go(`#/job/${all[(i + by + all.length) % all.length].id}`);
    },
    get compare() { return compare; },
    close() { jobs.removeEventListener("job", heard); jobs.removeEventListener("gone", gone); compare?.close(); },
  };
}
