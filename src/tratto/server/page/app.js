/** The page: its frame, its ways from place to place, and the keys that hold everywhere. */

import { get, jobs, isOver } from "./api.js";
import { announce, fill, h, icon, isTyping } from "./dom.js";
import { jobView, jobsView } from "./job.js";
import { monitorView } from "./monitor.js";
import { addFiles, homeView, pictureView } from "./pictures.js";
import { keep, kept } from "./store.js";
import { verifyView } from "./verify.js";

const ICONS = {
  light: "M12 4V2M12 22v-2M4 12H2M22 12h-2M5.600 5.600L4.200 4.200M19.800 19.800l-1.400-1.400M5.600 18.400l-1.400 1.400M19.800 4.200l-1.400 1.400M12 8a4 4 0 100 8 4 4 0 000-8z",
  dark: "M20 14.500A8.500 8.500 0 019.500 4a8.500 8.500 0 1010.500 10.500z",
  keys: "M3 7h18v10H3zM6.500 10h1M10 10h1M13.500 10h1M17 10h.5M8 14h8",
};
const KEYS = [
  ["N  and  P", "next and previous picture, or job"], ["Ctrl+Enter", "run"], ["U", "add pictures"], ["J", "jobs"], ["V", "verify"], ["?", "this list"],
  ["1 … 5", "slider, side by side, blink, before, after"], ["M", "next map over the result"], ["B", "show the picture before, and again"],
  ["Arrow keys, + − 0", "in a picture: move and zoom"],
];

/** What all views share. */
export const app = {
  me: null, tasks: [], templates: [], uploads: [], view: null,
  go(hash) { window.location.hash = hash; },
  /** Say something at the foot of the page, and to screen readers. */
  tell(text, wrong = false) {
    // what went wrong stays until it is read: it goes by its button, or with the view
    const note = h("div", { class: `toast ${wrong ? "wrong" : ""}` }, h("p", {}, text), h("button", { type: "button", class: "round", "aria-label": "Dismiss", onclick: () => note.remove() }, "×"));
    note.since = Date.now();
    toasts.append(note);
    if (!wrong) {
      announce(text);
      setTimeout(() => note.remove(), 8000);
    }
  },
  /** Say what went wrong. */
  fail(error) {
    if (error.status === 401) showLocked();
    else app.tell(error.message ?? String(error), true);
  },
};
// what goes wrong is read out at once
const toasts = h("div", { class: "toasts", role: "alert" });
const main = document.getElementById("main");
const count = h("span", { class: "count", hidden: true });
const links = { "#/": "Pictures", "#/jobs": "Jobs", "#/monitor": "Monitor", "#/verify": "Verify" };
const theme = h("button", { type: "button", class: "round", onclick: turnTheme });
const nav = h("nav", { "aria-label": "Main" }, Object.entries(links).map(([hash, text]) => h("a", { href: hash }, text, hash === "#/jobs" && count)));
const dialog = h("dialog", { class: "dialog", "aria-labelledby": "keys-title" });
fill(document.getElementById("top"), h("a", { class: "brand", href: "#/" }, "Tratto"), nav, h("span", { class: "gap" }),
  h("button", { type: "button", class: "round", "aria-label": "Keys", title: "Keys (?)", onclick: showKeys }, icon(ICONS.keys)), theme);
document.body.append(toasts, dialog);
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });

const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
function turnTheme() {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  keep("theme", document.documentElement.dataset.theme);
  showTheme();
}
function showTheme() {
  const text = isDark() ? "Light colours" : "Dark colours";
  theme.setAttribute("aria-label", text);
  theme.title = text;
  fill(theme, icon(isDark() ? ICONS.light : ICONS.dark));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);

function showKeys() {
  const single = h("input", { type: "checkbox", checked: kept("keys", true), onchange: () => keep("keys", single.checked) });
  const list = (title, keys) => [h("h3", {}, title), h("dl", { class: "keys" }, keys.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]))];
  fill(dialog, h("div", { class: "dialog-head" }, h("h2", { id: "keys-title" }, "Keys"),
    h("button", { type: "button", onclick: () => dialog.close() }, "Close")),
    h("label", { class: "check" }, single, "Single keys work everywhere on the page"),
    list("Everywhere", KEYS), app.view?.help ? list("In the drawing area", app.view.help) : null);
  dialog.showModal();
}

function showLocked() {
  app.view?.close?.();
  app.view = null;
  nav.hidden = true;
  fill(main, h("div", { class: "card narrow" }, h("h1", {}, "This page is locked"),
    h("p", {}, "Open the link that tratto serve printed when it started. A link works once; tratto keys api link prints a new one while the server runs.")));
}

const VIEWS = [
  [/^#\/picture\/([0-9a-f]+)/, (id) => pictureView(app, id)],
  [/^#\/job\/([0-9a-f]+)/, (id) => jobView(app, id)],
  [/^#\/jobs/, () => jobsView(app)],
  [/^#\/monitor/, () => monitorView(app)],
  [/^#\/verify/, () => verifyView(app)],
  [/^/, () => homeView(app)],
];

let turn = 0;
async function route() {
  const hash = window.location.hash || "#/";
  const mine = ++turn;
  for (const link of nav.children) {
    const here = link.getAttribute("href") === (/^#\/job/.test(hash) ? "#/jobs" : ["#/verify", "#/monitor"].find((h) => hash.startsWith(h)) ?? "#/");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const note of toasts.querySelectorAll(".toast.wrong")) if (Date.now() - note.since > 2000) note.remove();
  app.view?.close?.();
  app.view = null;
  const [pattern, make] = VIEWS.find(([p]) => p.test(hash));
  try {
    const view = await make(...(hash.match(pattern).slice(1)));
    if (mine !== turn) return view.close?.();
    app.view = view;
    document.title = `${view.title} – Tratto`;
    fill(main, view.element);
    view.shown?.();
    if (mine > 1) main.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  } catch (error) {
    if (mine !== turn) return;
    if (error.status === 401) return showLocked();
    fill(main, h("div", { class: "card narrow" }, h("h1", {}, error.status === 404 ? "Not here any more" : "That did not work"), h("p", {}, error.message ?? String(error)),
      h("p", {}, h("a", { href: "#/" }, "To the pictures"))));
    if (!error.status && error.status !== 0) console.error(error);
  }
}

function countJobs() {
  const open = jobs.list().filter((job) => !isOver(job)).length;
  count.hidden = !open;
  fill(count, String(open), h("span", { class: "unseen" }, " open"));
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || dialog.open) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter" && app.view?.run) { event.preventDefault(); app.view.run(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event) || !kept("keys", true)) return;
  const key = event.key.toLowerCase();
  if (app.view?.keys?.(event)) event.preventDefault();
  else if (key === "?") showKeys();
  else if (key === "j") app.go("#/jobs");
  else if (key === "v") app.go("#/verify");
  else if (key === "u") app.go("#/");
  else if (key === "n" || key === "p") app.view?.next?.(key === "n" ? 1 : -1);
});

// files dropped or pasted anywhere are pictures to work on, unless the view at hand wants them
for (const kind of ["dragover", "drop"]) {
  document.addEventListener(kind, (event) => {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    document.body.classList.toggle("dropping", kind === "dragover");
    if (kind === "drop") (app.view?.take ?? ((items) => addFiles(app, items)))(event.dataTransfer);
  });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
document.addEventListener("paste", (event) => {
  if (!event.clipboardData?.files.length || isTyping(event)) return;
  event.preventDefault();
  (app.view?.take ?? ((items) => addFiles(app, items)))(event.clipboardData);
});

/** What was sent before, the newest first; a thousand are enough to choose from. */
async function allUploads() {
  const found = [];
  for (let cursor = ""; found.length < 1000;) {
    const { uploads, next } = await get(`/uploads?limit=200${cursor}`);
    found.push(...uploads);
    if (!next) break;
    cursor = `&cursor=${encodeURIComponent(next)}`;
  }
  return found;
}

async function start() {
  showTheme();
  try {
    app.me = await get("/me");
    const [{ tasks }, templates, uploads] = await Promise.all([get("/tasks"), get("/templates").catch(() => ({ templates: [] })), allUploads(), jobs.load()]);
    Object.assign(app, { tasks, templates: templates.templates, uploads });
  } catch (error) {
    if (error.status === 401) return showLocked();
    fill(main, h("div", { class: "card narrow" }, h("h1", {}, "The server does not answer"), h("p", {}, error.message),
      h("button", { type: "button", onclick: () => window.location.reload() }, "Try again")));
    return;
  }
  jobs.listen();
  // a page that comes back from the browser's memory has heard nothing meanwhile
  window.addEventListener("pagehide", () => jobs.close());
  // a browser has six connections to a server for all its tabs: those that nobody sees hold none
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return jobs.close();
    jobs.listen();
    jobs.load().catch(() => {});
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.reload(); });
  for (const kind of ["job", "gone"]) jobs.addEventListener(kind, countJobs);
  countJobs();
  window.addEventListener("hashchange", route);
  route();
}

start();
