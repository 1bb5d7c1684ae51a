/** Pictures: adding them, choosing one, marking what is damaged, choosing what is done, and starting it. */

import { ApiError, ask, at, duration, get, isOver, jobs, remove, send, when } from "./api.js";
import { announce, bytes, fill, h } from "./dom.js";
import { createEditor } from "./editor.js";
import { makeForm } from "./form.js";
import { Mask, encodePng, loadInto } from "./mask.js";
import { stateWords } from "./job.js";
import { isCapture, zip } from "./zip.js";
import { forgetMask, keep, keepMask, kept, keptMask } from "./store.js";

/** Uploads that are masks which the page sent; they are not offered as pictures. */
const IS_MASK = /\.mask(\.[a-z0-9_-]+)?\.png$/i;
/** What tasks that propose a mask are called on their button; others go by their name. */
const PROPOSERS = { "mask-find": "Find damage", "mask-wall": "Find the wall from points", "mask-background": "Find the object" };

/** The uploads that are pictures: neither masks that were sent nor those that jobs have made. */
function picturesOf(app) {
  const made = new Set(jobs.list().flatMap((job) => [job.outputs?.mask?.upload, ...Object.values(job.masks ?? {})]));
  return app.uploads.filter((u) => !IS_MASK.test(u.name) && !made.has(u.id));
}
const thumbnail = (id) => at(`/uploads/${id}/preview?side=320`);

/** Return the files of a drop, paste or choice with their paths, of folders as well. */
async function filesIn(transfer) {
  const plain = (list) => [...list].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
  if (!(transfer instanceof DataTransfer)) return plain(transfer);
  const entries = [...(transfer.items ?? [])].map((i) => i.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((e) => e.isDirectory)) return plain(transfer.files);
  const files = [];
  const read = async (entry) => {
    if (entry.isFile) files.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path: entry.fullPath.replace(/^\//, "") });
    else {
      const reader = entry.createReader();
      for (;;) { // a reader gives some hundred at a time
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) break;
        for (const one of some) await read(one);
      }
    }
  };
  for (const entry of entries) await read(entry);
  return files;
}

/** Send files, one after the other; what is refused is said, and the others go on. */
export async function addFiles(app, transfer) {
  const found = (await filesIn(transfer)).filter(({ path }) => !path.split("/").some((part) => part.startsWith(".")));
  if (!found.length) return;
  const progress = h("progress", { max: "1", value: 0 });
  const text = h("span", {});
  const box = h("p", { class: "toast sending", role: "status" }, text, progress);
  document.querySelector(".toasts").append(box);
  let last = null;
  let refused = 0;
  let files = found.map(({ file }) => file);
  if (isCapture(found)) {
    const name = found[0].path.includes("/") ? found[0].path.split("/")[0] : "capture";
    fill(text, `${name}: packing ${found.length} files`);
    try {
      files = [new File([await zip(found, (share) => { progress.value = share; })], `${name}.zip`)];
    } catch (error) { box.remove(); return app.fail(error); }
  }
  for (const [i, file] of files.entries()) {
    fill(text, `${i + 1} of ${files.length}: ${file.name}`);
    try {
      const upload = await send("/uploads", file, file.name || "pasted.png", (share) => {
        progress.value = (i + share) / files.length;
        if (share === 1) fill(text, `${file.name}: reading`);
      });
      app.uploads.unshift(upload);
      last = upload;
    } catch (error) {
      if (error.status === 401) { box.remove(); return app.fail(error); }
      refused += 1;
      app.tell(`${file.name}: ${error.message}`, true);
    }
  }
  box.remove();
  if (!last) return;
  announce(`${files.length - refused} added`);
  if (files.length === 1) app.go(`#/picture/${last.id}`);
  else if (window.location.hash !== "#/" && window.location.hash) app.go("#/");
  else app.view?.refresh?.();
}

/** Return what files are added with: a place to drop them, and buttons. */
function dropZone(app, small) {
  const files = h("input", { type: "file", multiple: true, accept: "image/*,.tif,.tiff,.zip,.json,.bin,.txt", class: "unseen", tabindex: "-1", "aria-hidden": "true", onchange: () => take(files) });
  const folder = h("input", { type: "file", webkitdirectory: true, class: "unseen", tabindex: "-1", "aria-hidden": "true", onchange: () => take(folder) });
  const take = (input) => { addFiles(app, input.files); input.value = ""; };
  const limits = app.me.limits;
  return h("section", { class: `drop ${small ? "small-drop" : ""}`, "aria-label": "Add pictures" },
    h("p", { class: "drop-title" }, "Drop pictures here, or paste one"),
    h("div", { class: "row" }, h("button", { type: "button", class: "main", onclick: () => files.click() }, "Choose pictures…"),
      h("button", { type: "button", onclick: () => folder.click() }, "Choose a folder…")),
    h("p", { class: "soft small" }, `${app.me.formats.map((f) => f.toUpperCase()).join(", ")}, up to ${bytes(limits.upload_bytes)} and ${Math.round(limits.pixels / 1e6)} megapixels. `
      + `They stay on this machine's server and are deleted after ${Math.round(app.me.keep_days)} days.`),
    h("p", { class: "soft small" }, "A folder of photographs with their cameras (COLMAP's, or transforms.json), or a ZIP file of one, becomes a scene."),
    files, folder);
}

/** The first page: add pictures, choose one, see the last jobs. */
export function homeView(app) {
  const element = h("div", { class: "stack" });
  function refresh() {
    const pictures = picturesOf(app);
    const recent = jobs.list().slice(0, 4);
    fill(element, h("h1", { class: pictures.length ? "" : "greeting" }, pictures.length ? "Pictures" : "What would you like to restore?"), dropZone(app, pictures.length > 0),
      pictures.length > 0 && h("ul", { class: "cards", "aria-label": "Pictures" }, pictures.map((upload) => h("li", { class: "picture-card" },
        h("a", { href: `#/picture/${upload.id}` }, h("img", { src: thumbnail(upload.id), alt: "", loading: "lazy" }), h("b", {}, upload.name),
          h("span", { class: "soft small" }, upload.format === "zip" ? upload.notes[0] : `${upload.width} × ${upload.height} · ${bytes(upload.bytes)}`)),
        h("button", { type: "button", class: "remove", "aria-label": `Remove ${upload.name}`, title: "Remove", onclick: () => drop(upload) }, "×")))),
      recent.length > 0 && h("section", { class: "stack tight" }, h("h2", {}, "Last jobs"), h("ul", { class: "plain-list" }, recent.map((job) => h("li", {},
        h("a", { href: `#/job/${job.id}` }, `${job.task}: ${job.name}`), h("span", { class: "soft small" }, ` ${stateWords(job)}, ${when(job.created)}`))))));
  }
  async function drop(upload) {
    try {
      await remove(`/uploads/${upload.id}`);
      forgetMask(upload.id);
      app.uploads = app.uploads.filter((u) => u.id !== upload.id);
      refresh();
      announce(`${upload.name} removed`);
    } catch (error) { app.fail(error); }
  }
  refresh();
  return { element, title: "Pictures", refresh, next: (by) => { const p = picturesOf(app); if (p.length) app.go(`#/picture/${p.at(by > 0 ? 0 : -1).id}`); } };
}

/** What a picture's mask is sent as: nothing, one upload, or one for each class. */
async function sendMask(app, mask, name, classes) {
  const drawn = mask.drawn();
  if (!drawn.length) return null;
  const stem = name.replace(/\.[^.]*$/, "");
  const one = async (layer, ending) => {
    const file = await encodePng(mask.width, mask.height, (y) => mask.row(y, layer));
    return (await send("/uploads", file, `${stem}.mask${ending}.png`)).id;
  };
  if (!classes.length || (drawn.length === 1 && drawn[0] === "")) return one(null, "");
  const found = {};
  for (const layer of drawn) found[layer || "other"] = await one(layer, `.${layer || "other"}`);
  return found;
}

/** A picture: the mask on it, and what is to be done. */
export async function pictureView(app, id) {
  const upload = app.uploads.find((u) => u.id === id) ?? (await get(`/uploads/${id}`));
  const isScene = upload.format === "zip";
  const siblings = picturesOf(app).filter((u) => (u.format === "zip") === isScene);
  const index = siblings.findIndex((u) => u.id === id);
  const image = new Image();
  image.src = at(`/uploads/${id}/preview?side=1600`);
  const source = {
    width: upload.width, height: upload.height, preview: image.decode().then(() => image),
    tile: (level, x, y) => at(`/uploads/${id}/tiles/${Math.max(level, upload.view.min_level)}/${x}_${y}`),
  };
  const main = app.tasks.filter((t) => t.output !== "mask" && (t.inputs[0].kind === "capture") === isScene);
  const isPlaces = (schema) => schema["x-widget"] === "points";
  const proposers = app.tasks.filter((t) => t.output === "mask").map((tool) => ({
    tool, form: makeForm(tool.options, { prefix: tool.name, without: Object.keys(tool.options.properties).filter((n) => isPlaces(tool.options.properties[n])) }),
  }));
  const chosen = kept("work", { task: main[0].name, values: {} });
  let task = main.find((t) => t.name === chosen.task) ?? main[0];
  const maskOf = (t) => t.inputs.find((i) => i.kind === "mask");
  const classNames = [...new Set(app.tasks.flatMap((t) => maskOf(t)?.classes ?? []))];
  const others = {}; // uploads for second inputs, by role
  let how = "draw"; // or a word such as auto

  const editor = createEditor({ source, name: upload.name, classes: classNames, onchange: keepSoon });
  let later = null;
  function keepSoon() {
    clearTimeout(later);
    later = setTimeout(keepNow, 300);
  }
  function keepNow() {
    clearTimeout(later);
    return keepMask(id, { mask: editor.mask.pack(), points: [...editor.points] });
  }
  const before = await keptMask(id);
  if (before && editor.mask.unpack(before.mask)) {
    editor.points.push(...before.points);
    editor.refresh();
  }

  window.addEventListener("pagehide", keepNow);

  // -- the panel ------------------------------------------------------------------------------------------------------

  const inputsBox = h("div", { class: "stack tight" });
  const formBox = h("div", {});
  const problem = h("p", { class: "wrong", role: "alert" });
  const run = h("button", { type: "button", class: "main wide", onclick: start }, "Run");
  const all = h("input", { type: "checkbox" });
  const tasks = h("fieldset", { class: "tasks" }, h("legend", {}, "What is to be done"), main.map((t) => h("label", { class: "task" },
    h("input", { type: "radio", name: "task", value: t.name, checked: t === task, onchange: () => { saveForm(); task = t; showTask(); } }),
    h("span", {}, h("b", {}, t.name[0].toUpperCase() + t.name.slice(1).replaceAll("-", " ")), h("span", { class: "soft small" }, t.summary)))));
  let form = null;

  function saveForm() {
    if (form) chosen.values[task.name] = form.values();
    chosen.task = task.name;
    keep("work", chosen);
  }

  function pick(name, widget) {
    const wanted = editor.points.filter((p) => p.on === (name !== "others")).map((p) => [p.x, p.y]);
    if (!wanted.length) app.tell("Set points first: choose Points, then click in the picture.", true);
    return widget === "point" ? wanted[0] ?? null : widget === "corners" ? wanted.slice(0, 4) : wanted;
  }

  function showTask() {
    saveFormTask();
    const input = maskOf(task);
    editor.element.classList.toggle("no-mask", !input);
    editor.useClasses(Boolean(input?.classes.length));
    fill(inputsBox, input && maskChoice(input), task.inputs.slice(1).filter((i) => i.kind !== "mask").map(fileChoice));
    form = makeForm(task.options, { values: chosen.values[task.name] ?? {}, onchange: saveForm, pick, words: app.templates });
    fill(formBox, form.element);
    fill(problem);
  }
  function saveFormTask() { chosen.task = task.name; keep("work", chosen); }

  /** Where the mask comes from: drawn, proposed to be corrected, or left to the task. */
  function maskChoice(input) {
    const ways = [["draw", input.required ? "Drawn on the picture" : "Where it is drawn, if it is"], ...input.words.map((w) => [w, `${w[0].toUpperCase()}${w.slice(1)}: found while it runs`])];
    if (!ways.some(([w]) => w === how)) how = "draw";
    return h("fieldset", { class: "tasks" }, h("legend", {}, "Mask"), h("p", { class: "soft small" }, input.help),
      ways.length > 1 && ways.map(([way, text]) => h("label", { class: "check" }, h("input", { type: "radio", name: "how", value: way, checked: way === how, onchange: () => { how = way; } }), text)),
      proposers.map(({ tool, form: search }) => h("div", {},
        h("button", { type: "button", class: "wide", onclick: (e) => propose(tool, search, e.currentTarget) }, PROPOSERS[tool.name] ?? tool.name.replaceAll("-", " ")),
        h("details", { class: "small" }, h("summary", {}, "How it is looked for"), search.element))),
      proposal);
  }

  function fileChoice(input) {
    const name = h("span", { class: "soft small", role: "status" }, others[input.role]?.name ?? "none");
    const file = h("input", { type: "file", accept: "image/*,.tif,.tiff", id: `input-${input.role}`, multiple: Boolean(input.repeatable), onchange: async () => {
      if (!file.files[0]) { delete others[input.role]; return; }
      try {
        const sent = await Promise.all([...file.files].map((f) => send("/uploads", f, f.name)));
        const names = sent.map((u) => `${u.name}, ${u.width} × ${u.height}`).join("; ");
        others[input.role] = { id: input.repeatable ? sent.map((u) => u.id) : sent[0].id, name: names };
        fill(name, names);
      } catch (error) { file.value = ""; app.fail(error); }
    } });
    return h("div", { class: "field" }, h("label", { for: file.id }, input.role[0].toUpperCase() + input.role.slice(1).replaceAll("_", " "), !input.required && h("span", { class: "soft small" }, " (optional)")),
      file, h("span", { class: "soft small" }, input.help), name);
  }

  const proposal = h("p", { class: "soft small", role: "status" });
  /** Run a task that makes a mask, and take its mask into the editor. */
  async function propose(tool, search, button) {
    const options = search.read();
    if (!options) return;
    for (const [name, schema] of Object.entries(tool.options.properties)) {
      if (!isPlaces(schema)) continue;
      const places = editor.points.filter((p) => p.on === (name !== "others")).map((p) => [p.x, p.y]);
      if (places.length) options[name] = places;
      else if (name !== "others") {
        editor.choose("points");
        editor.element.querySelector("canvas").focus();
        return fill(proposal, "Set a point on the wall first: click on it. With Alt a point says what is not the wall.");
      }
    }
    button.disabled = true;
    try {
      const job = await jobs.start(tool.name, { [tool.inputs[0].role]: id }, options);
      const watch = (e) => { if (e.detail.id === job.id && !isOver(e.detail)) fill(proposal, `${stateWords(e.detail)}, ${duration(e.detail.seconds_left)}`); };
      jobs.addEventListener("job", watch);
      fill(proposal, "Looking…");
      const ended = await jobs.ended(job.id);
      jobs.removeEventListener("job", watch);
      if (ended.state !== "done") throw new ApiError(200, { message: ended.error?.message ?? `The search was ${ended.state}.` });
      await takeMasks(ended);
      fill(proposal, ended.note || "Look at what was proposed, and correct it, before it is used.");
    } catch (error) {
      fill(proposal);
      app.fail(error);
    }
    button.disabled = false;
  }

  async function takeMasks(job) {
    const masks = maskOf(task)?.classes.length && Object.keys(job.masks ?? {}).length ? job.masks : { "": job.outputs.mask?.upload };
    for (const [layer, mask] of Object.entries(masks)) {
      if (!mask) continue;
      editor.mask.use(classNames.includes(layer) ? layer : "");
      await loadInto(editor.mask, await ask("GET", `/uploads/${mask}/file`));
    }
    editor.mask.use("");
    editor.refresh();
    tidy(job.outputs.mask?.upload, job.masks);
    announce("The proposed mask is in the picture");
  }

  /** Remove masks from the server that lie in the picture now, or that a job has its copy of. */
  function tidy(...masks) {
    const ids = masks.flatMap((m) => (m && typeof m === "object" ? Object.values(m) : [m])).filter((m) => /^[0-9a-f]{32}$/.test(m));
    for (const mask of new Set(ids)) remove(`/uploads/${mask}`).catch(() => {}); // it expires anyway
  }

  /** What a job takes of a picture; null where its mask is missing. */
  async function inputsFor(picture, mask) {
    const inputs = { [task.inputs[0].role]: picture.id };
    for (const [role, other] of Object.entries(others)) if (task.inputs.some((i) => i.role === role)) inputs[role] = other.id;
    const input = maskOf(task);
    if (!input) return inputs;
    const given = how === "draw" ? mask && (await sendMask(app, mask, picture.name, input.classes)) : how;
    if (!given && input.required) return null;
    if (given) inputs[input.role] = given;
    return inputs;
  }

  /** Of a file with several pages the one that is seen is meant, unless another is chosen. */
  const paged = (picture, options) => (picture.pages > 1 && task.options.properties.page && !("page" in options) ? { ...options, page: 0 } : options);

  async function start() {
    fill(problem);
    const options = form.read();
    if (!options || run.disabled) return;
    saveForm();
    run.disabled = true;
    try {
      await keepNow();
      const inputs = await inputsFor(upload, editor.mask);
      if (!inputs) {
        fill(problem, "Mark what is damaged first: draw on the picture, load a mask, or let one be proposed.");
        editor.element.querySelector("canvas").focus();
        return;
      }
      const job = await jobs.start(task.name, inputs, paged(upload, options));
      if (how === "draw") tidy(inputs[maskOf(task)?.role]);
      if (all.checked) await startOthers(options);
      app.go(`#/job/${job.id}`);
    } catch (error) {
      if (error.status === 401 || !form.complain(error.option, error.message)) {
        fill(problem, error.message);
        if (error.status === 401) app.fail(error);
      }
    } finally { run.disabled = false; }
  }

  /** The same for the other pictures, each with its own mask; those that lack one are named. */
  async function startOthers(options) {
    const left = [];
    for (const other of siblings) {
      if (other.id === id) continue;
      const saved = await keptMask(other.id);
      const mask = new Mask(other.width, other.height);
      const inputs = await inputsFor(other, saved && mask.unpack(saved.mask) ? mask : null);
      if (inputs) {
        await jobs.start(task.name, inputs, paged(other, options));
        if (how === "draw") tidy(inputs[maskOf(task)?.role]);
      } else left.push(other.name);
    }
    if (left.length) app.tell(`Left out, nothing is marked there: ${left.join(", ")}`, true);
  }

  const step = (by) => { if (siblings.length > 1) app.go(`#/picture/${siblings[(index + by + siblings.length) % siblings.length].id}`); };
  const element = h("div", { class: "work" },
    h("div", { class: "title-row" }, h("h1", {}, upload.name), h("span", { class: "soft" }, isScene ? upload.notes[0] : `${upload.width} × ${upload.height}, ${upload.mode}, ${upload.bits ?? 8} bits${upload.pages > 1 ? `; the first of ${upload.pages} pages` : ""}`), h("span", { class: "gap" }),
      siblings.length > 1 && index >= 0 && h("div", { class: "row" }, h("button", { type: "button", title: "Previous picture (P)", "aria-keyshortcuts": "p", onclick: () => step(-1) }, "Previous"),
        h("span", { class: "soft" }, `${index + 1} of ${siblings.length}`), h("button", { type: "button", title: "Next picture (N)", "aria-keyshortcuts": "n", onclick: () => step(1) }, "Next"))),
    h("div", { class: "columns" }, isScene ? h("img", { class: "first-photo", src: at(`/uploads/${id}/preview?side=1600`), alt: "The first photograph" }) : editor.element,
      h("form", { class: "panel", "aria-label": "Job", onsubmit: (e) => { e.preventDefault(); start(); }, novalidate: true }, tasks, inputsBox, formBox,
        h("div", { class: "submit" }, problem, run,
          siblings.length > 1 && h("label", { class: "check small" }, all, `The same for the other ${siblings.length - 1}, each with its own mask`)))),
    !isScene && (upload.notes ?? []).length > 0 && h("ul", { class: "notes soft small", "aria-label": "Notes on the file" }, upload.notes.map((n) => h("li", {}, n))));
  showTask();
  // a job that is done again brings what it was started with
  const again = kept("again", null);
  if (again?.upload === id) {
    keep("again", null);
    const other = main.find((t) => t.name === again.task);
    if (other) {
      chosen.values[other.name] = again.options;
      task = other;
      for (const radio of tasks.querySelectorAll("input")) radio.checked = radio.value === other.name;
      form = null;
      showTask();
    }
  }
  return {
    element, title: upload.name, help: editor.help, run: start, next: step, editor,
    close() {
      window.removeEventListener("pagehide", keepNow);
      keepNow();
      editor.close();
    },
  };
}
