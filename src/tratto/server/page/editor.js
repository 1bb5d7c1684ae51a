/** The mask editor: brush, eraser, polygon, lasso, magic wand and points, by pointer and by keys alone. */

import { announce, fill, h, icon, saveBlob } from "./dom.js";
import { Mask, TILE, alike, encodePng, loadInto } from "./mask.js";
import { View } from "./view.js";

const TOOLS = [
  ["brush", "Brush", "B", "M4 20c3 0 5-1 5-4l8-10 2 2-9 9c0 3-3 5-6 3zM9 14l3 3"],
  ["eraser", "Eraser", "E", "M9 20h11M5 15l9-10 6 5-9 10H8zM9 10l6 6"],
  ["polygon", "Polygon", "G", "M5 8l8-4 7 6-3 9-10-1z"],
  ["lasso", "Lasso", "L", "M12 4c5 0 8 2 8 5s-4 6-8 6-8-2-8-5 3-6 8-6zM8 15c-2 2 0 4-2 6"],
  ["wand", "Wand", "W", "M4 20L15 9M17 3v4M15 5h4M20 10v3M18.500 11.500h3M11 3v2M10 4h2"],
  ["points", "Points", "K", "M12 21s6-6 6-11a6 6 0 10-12 0c0 5 6 11 6 11zM12 8v4M10 10h4"],
  ["move", "Move", "H", "M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3"],
];
const ACTIONS = {
  undo: ["Undo", "M9 7L4 12l5 5M4 12h10a5 5 0 010 10"],
  redo: ["Redo", "M15 7l5 5-5 5M20 12H10a5 5 0 000 10"],
};
/** Colours of layers: the first is the one without a class. Told apart by name as well, never by colour alone. */
const COLORS = [[216, 27, 96], [30, 136, 229], [255, 143, 0], [0, 150, 136], [142, 36, 170], [104, 159, 56], [121, 85, 72], [94, 53, 177], [0, 172, 193]];
/** How much of what lies below a mask it hides. */
const SEEN = 0.55;
const HELP = [
  ["Arrow keys", "move the drawing point; with Shift by 10, with Ctrl by 1 pixel"],
  ["Space", "brush, eraser and lasso: put the pen down or lift it; polygon, wand and points: set a point"],
  ["Enter", "close the polygon"],
  ["Backspace", "take back the polygon's last corner, or the last point"],
  ["Escape", "leave what was begun"],
  ["Alt", "held with polygon, lasso or wand: take away; with points: a point on something else"],
  ["[  and  ]", "smaller and larger brush"],
  ["Ctrl+Z, Ctrl+Shift+Z", "undo and redo"],
  ["+  −  0", "zoom in, zoom out, whole picture"],
  ["M", "show or hide the mask"],
  ...TOOLS.map(([, name, key]) => [key, name]),
];

/**
 * Make an editor.
 *
 * @param {Object} settings
 * @param {Object} settings.source what {@link View} shows
 * @param {string} settings.name of the picture; the mask is saved by its name
 * @param {string} [settings.saveAs] name of the file that is saved
 * @param {string[]} [settings.classes] classes that may have layers of their own
 * @param {boolean} [settings.points] whether points may be set
 * @param {() => void} [settings.onchange] called after each edit, and when points change
 * @param {() => void} [settings.onsave] called when the mask was saved as a file
 * @returns {{element: HTMLElement, mask: Mask, points: Array, help: Array, close: () => void, refresh: () => void}}
 */
export function createEditor({ source, name, saveAs, classes = [], points: takesPoints = true, onchange = () => {}, onsave = () => {} }) {
  const mask = new Mask(source.width, source.height);
  const state = {
    tool: "brush", radius: Math.max(2, Math.round(Math.max(source.width, source.height) / 120)), tolerance: 24, corners: [], path: null,
    cursor: [source.width / 2, source.height / 2], keys: false, pen: null, shown: true, hover: null, take: false,
  };
  const points = [];
  const painted = new Map();
  const canvas = h("canvas", {
    class: "canvas", tabindex: "0", role: "application", "aria-label": `Mask of ${name}`,
    "aria-roledescription": "drawing area", "aria-describedby": "drawing-help",
  });
  const view = new View(canvas, source, paintOver);
  const colorOf = (layer) => COLORS[layer === "" ? 0 : 1 + (Math.max(0, classes.indexOf(layer)) % (COLORS.length - 1))];

  mask.ontile = (layer, index) => {
    for (const step of [1, 2, 4, 8, 16, 32]) painted.delete(`${layer}/${index}/${step}`);
    view.draw();
  };
  let share = 0; // counted after edits only: a mask of 100 megapixels takes a while
  mask.onedit = () => { share = mask.share(); refresh(); onchange(); };

  // -- drawing --------------------------------------------------------------------------------------------------------

  function tilePicture(layer, index, tile, step) {
    const key = `${layer}/${index}/${step}`;
    let picture = painted.get(key);
    if (picture) return picture;
    const side = TILE / step;
    picture = new OffscreenCanvas(side, side);
    const context = picture.getContext("2d");
    const image = context.createImageData(side, side);
    const [r, g, b] = colorOf(layer);
    for (let y = 0; y < TILE; y += 1) {
      for (let x = 0; x < TILE; x += 1) {
        const value = tile[y * TILE + x];
        const to = 4 * (Math.floor(y / step) * side + Math.floor(x / step));
        // the largest value of a block counts: a crack of one pixel is seen at any zoom
        if (value && value * SEEN > image.data[to + 3]) image.data.set([r, g, b, value * SEEN], to);
      }
    }
    context.putImageData(image, 0, 0);
    painted.set(key, picture);
    return picture;
  }

  function paintOver(context) {
    const ratio = window.devicePixelRatio || 1;
    if (state.shown) {
      const [x0, y0, x1, y1] = view.seen();
      const step = Math.min(32, 2 ** Math.max(0, Math.floor(Math.log2(1 / (view.scale * ratio)))));
      for (const [layer, tiles] of mask.layers) {
        for (const [index, tile] of tiles) {
          const x = (index % mask.columns) * TILE;
          const y = Math.floor(index / mask.columns) * TILE;
          if (x < x1 && y < y1 && x + TILE > x0 && y + TILE > y0) {
            context.drawImage(tilePicture(layer, index, tile, step), x, y, TILE, TILE);
          }
        }
      }
    }
    const line = (width, color) => { context.lineWidth = width / view.scale; context.strokeStyle = color; context.stroke(); };
    const both = () => { line(3, "rgba(0,0,0,.65)"); line(1.5, "#fff"); };
    const outline = state.tool === "polygon" ? state.corners : state.path;
    if (outline?.length) {
      context.beginPath();
      outline.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      if (state.tool === "polygon" && (state.hover || state.keys)) context.lineTo(...(state.keys ? state.cursor : state.hover));
      both();
      for (const [x, y] of state.tool === "polygon" ? outline : []) {
        context.beginPath();
        context.arc(x, y, 4 / view.scale, 0, 7);
        both();
      }
    }
    points.forEach(({ x, y, on }) => {
      context.beginPath();
      context.arc(x, y, 7 / view.scale, 0, 7);
      context.fillStyle = on ? "#fff" : "#222";
      context.fill();
      line(2, on ? "#111" : "#fff");
      context.beginPath();
      const arm = 3.5 / view.scale;
      context.moveTo(x - arm, y);
      context.lineTo(x + arm, y);
      if (on) { context.moveTo(x, y - arm); context.lineTo(x, y + arm); }
      line(2, on ? "#111" : "#fff");
    });
    const at = state.keys ? state.cursor : state.hover;
    if (!at) return;
    context.beginPath();
    if (["brush", "eraser"].includes(state.tool)) context.arc(at[0], at[1], Math.max(state.radius, 2 / view.scale), 0, 7);
    if (state.keys) {
      const arm = 12 / view.scale;
      context.moveTo(at[0] - arm, at[1]);
      context.lineTo(at[0] + arm, at[1]);
      context.moveTo(at[0], at[1] - arm);
      context.lineTo(at[0], at[1] + arm);
    }
    both();
  }

  // -- what a tool does at a place ------------------------------------------------------------------------------------

  const erasing = () => state.tool === "eraser" || state.take;

  function press(at, pressure = 0.5) {
    if (state.tool === "polygon") {
      state.corners.push(at);
      announce(`Corner ${state.corners.length}`);
    } else if (state.tool === "wand") chooseAlike(at, erasing());
    else if (state.tool === "points") {
      points.push({ x: Math.round(at[0]), y: Math.round(at[1]), on: !state.take });
      announce(state.take ? "Point on something else" : "Point set");
      refresh();
      onchange();
    } else if (state.tool === "lasso") state.path = [at];
    else {
      state.pen = [...at, state.radius * weight(pressure)];
      mask.begin();
      mask.stroke(state.pen, state.pen, erasing() ? 0 : 255);
    }
    view.draw();
  }

  // a mouse has no pressure and says 0.5: then the brush is as wide as it is set
  const weight = (pressure) => (pressure > 0 ? 0.3 + 1.4 * pressure : 1);

  function drag(at, pressure = 0.5) {
    if (state.path) state.path.push(at);
    else if (state.pen) {
      const to = [...at, state.radius * weight(pressure)];
      mask.stroke(state.pen, to, erasing() ? 0 : 255);
      state.pen = to;
    }
    view.draw();
  }

  function lift() {
    if (state.path) {
      const path = state.path;
      state.path = null;
      mask.edit(() => mask.polygon(path, erasing() ? 0 : 255));
    }
    state.pen = null;
    mask.commit();
    view.draw();
  }

  function closePolygon() {
    const corners = state.corners;
    state.corners = [];
    if (corners.length > 2) mask.edit(() => mask.polygon(corners, erasing() ? 0 : 255));
    view.draw();
  }

  function leave() {
    state.corners = [];
    state.path = null;
    if (state.pen) { state.pen = null; mask.commit(); }
    view.draw();
  }

  let samples = null;
  async function chooseAlike([x, y], away) {
    if (x < 0 || y < 0 || x >= source.width || y >= source.height) return;
    if (!samples) {
      const picture = await source.preview;
      const sheet = new OffscreenCanvas(picture.width, picture.height);
      const context = sheet.getContext("2d", { willReadFrequently: true });
      context.drawImage(picture, 0, 0);
      samples = context.getImageData(0, 0, picture.width, picture.height);
    }
    const { width, height, data } = samples;
    const at = [Math.floor((x * width) / source.width), Math.floor((y * height) / source.height)];
    const chosen = alike(data, width, height, ...at, state.tolerance);
    mask.edit(() => mask.stamp(chosen, width, height, away ? 0 : 255));
  }

  // -- pointers -------------------------------------------------------------------------------------------------------

  const fingers = new Map();
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, place(event));
    state.keys = false;
    state.take = event.altKey;
    if (fingers.size === 2) { // two fingers move and zoom; what the first one began is taken back
      const began = state.pen || state.path;
      leave();
      if (began && mask.done.length) mask.undo();
      return;
    }
    state.moving = state.tool === "move" || event.button === 1;
    if (!state.moving && event.button === 0) press(view.toPicture(place(event)), event.pressure);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    const now = place(event);
    state.hover = view.toPicture(now);
    if (before && fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const gap = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      view.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
      view.zoom(gap(now) / Math.max(1, gap(before)), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else if (before && state.moving) view.pan(now[0] - before[0], now[1] - before[1]);
    else if (before) {
      const fine = event.getCoalescedEvents?.() ?? [];
      for (const e of fine.length ? fine : [event]) drag(view.toPicture(place(e)), e.pressure);
    }
    if (before) fingers.set(event.pointerId, now);
    view.draw();
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => {
      fingers.delete(event.pointerId);
      state.moving = false;
      lift();
    });
  }
  canvas.addEventListener("pointerleave", () => { state.hover = null; view.draw(); });
  canvas.addEventListener("dblclick", () => { if (state.tool === "polygon") closePolygon(); });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());

  // -- keys -----------------------------------------------------------------------------------------------------------

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (command && key === "z") event.shiftKey ? mask.redo() : mask.undo();
    else if (command && key === "y") mask.redo();
    else if (ARROWS[key]) {
      const by = event.ctrlKey ? 1 : (event.shiftKey ? 10 : 3) * Math.max(1, 1 / view.scale);
      state.keys = true;
      state.cursor = state.cursor.map((v, i) => Math.min([source.width, source.height][i] - 0.5, Math.max(0.5, v + by * ARROWS[key][i])));
      drag(state.cursor);
      view.show(state.cursor);
      view.draw();
    } else if (command) return;
    else if (key === " ") {
      state.keys = true;
      state.take = event.altKey;
      if (state.pen || state.path) { lift(); announce("Pen lifted"); }
      else {
        press(state.cursor);
        if (state.pen || state.path) announce(`Pen down at ${state.cursor.map(Math.round).join(", ")}`);
      }
    } else if (key === "Enter") closePolygon();
    else if (key === "Escape") leave();
    else if (key === "Backspace") {
      if (state.tool === "points") { points.pop(); refresh(); onchange(); } else state.corners.pop();
      view.draw();
    } else if (key === "[" || key === "]") setRadius(state.radius * (key === "]" ? 1.25 : 0.8));
    else if (key === "+" || key === "=") view.zoom(1.4);
    else if (key === "-") view.zoom(1 / 1.4);
    else if (key === "0") view.fit();
    else if (key === "m") setShown(!state.shown);
    else {
      const tool = TOOLS.find((t) => t[2].toLowerCase() === key && !event.altKey);
      if (!tool || (tool[0] === "points" && !takesPoints)) return;
      choose(tool[0]);
    }
    event.preventDefault();
    event.stopPropagation();
  });

  // -- what stands around it ------------------------------------------------------------------------------------------

  function choose(tool) {
    leave();
    state.tool = tool;
    canvas.dataset.tool = tool;
    announce(TOOLS.find((t) => t[0] === tool)[1]);
    refresh();
  }

  function setRadius(value) {
    state.radius = Math.min(500, Math.max(0.5, value));
    refresh();
  }

  /** Offer layers by class, or draw on the one without. */
  function useClasses(offered) {
    layerLabel.hidden = !offered || !classes.length;
    if (!offered) mask.use("");
    refresh();
  }

  function setShown(value) {
    state.shown = value;
    refresh();
  }

  const button = (props, path, text) => h("button", { type: "button", ...props }, path && icon(path), h("span", {}, text));
  const tools = new Map(TOOLS.filter(([t]) => t !== "points" || takesPoints).map(([tool, text, key, path]) => [
    tool, button({ class: "tool", title: `${text} (${key})`, "aria-keyshortcuts": key, onclick: () => choose(tool) }, path, text),
  ]));
  const undo = button({ class: "tool bare", title: "Undo (Ctrl+Z)", onclick: () => mask.undo() }, ACTIONS.undo[1], "Undo");
  const redo = button({ class: "tool bare", title: "Redo (Ctrl+Shift+Z)", onclick: () => mask.redo() }, ACTIONS.redo[1], "Redo");
  const size = h("input", { type: "range", min: "0", max: "1", step: "0.01", oninput: () => setRadius(0.5 * 1000 ** size.value) });
  const sizeText = h("output", {});
  const range = h("input", { type: "range", min: "0", max: "128", step: "1", value: String(state.tolerance), oninput: () => { state.tolerance = Number(range.value); refresh(); } });
  const rangeText = h("output", {});
  const sizeLabel = h("label", { class: "measure" }, "Brush ", size, sizeText);
  const rangeLabel = h("label", { class: "measure" }, "Tolerance ", range, rangeText);
  const layer = h("select", { onchange: () => { mask.use(layer.value); refresh(); } },
    h("option", { value: "" }, "Damage, any kind"), classes.map((c) => h("option", { value: c }, c[0].toUpperCase() + c.slice(1))));
  const swatch = (kind) => {
    const mark = h("span", { class: "swatch" });
    mark.style.background = `rgb(${colorOf(kind).join(" ")})`;
    return mark;
  };
  const layerMark = h("span", { class: "row" });
  const layerLabel = h("label", { class: "measure", hidden: !classes.length }, "Kind ", layerMark, layer);
  const shown = h("input", { type: "checkbox", checked: true, onchange: () => setShown(shown.checked) });
  const file = h("input", { type: "file", accept: "image/*", class: "unseen", tabindex: "-1", "aria-hidden": "true", onchange: () => load(file.files[0]) });
  const facts = h("p", { class: "facts", role: "status" });
  const bar = h("div", { class: "tools", role: "toolbar", "aria-label": "Drawing tools" }, [...tools.values()], h("span", { class: "pair" }, undo, redo));
  const more = h("div", { class: "tools second" },
    layerLabel, sizeLabel, rangeLabel,
    h("label", { class: "check" }, shown, "Show mask"));
  const foot = h("div", { class: "tools foot" }, facts, h("span", { class: "gap" }),
    button({ class: "quiet", onclick: () => file.click() }, null, "Load mask…"),
    button({ class: "quiet", onclick: save }, null, "Save mask"),
    button({ class: "quiet", onclick: () => mask.edit(() => mask.invert()) }, null, "Invert"),
    button({ class: "quiet", onclick: () => { points.length = 0; mask.edit(() => mask.clearAll()); refresh(); onchange(); } }, null, "Clear"), file);
  const help = h("p", { id: "drawing-help", class: "unseen" },
    "Arrow keys move the drawing point, space puts the pen down or sets a point, escape leaves. All keys are listed under Keys.");
  const element = h("div", { class: "editor" }, bar, more, canvas, help, foot);

  async function load(blob) {
    if (!blob) return;
    try {
      await loadInto(mask, blob);
      announce("Mask loaded");
    } catch (error) {
      fill(facts, error instanceof RangeError ? error.message : "This file cannot be read as a picture.");
      facts.classList.add("wrong");
    }
    file.value = "";
  }

  async function save() {
    saveBlob(await encodePng(mask.width, mask.height, (y) => mask.row(y)), saveAs ?? `${name.replace(/\.[^.]*$/, "")}.mask.png`);
    announce("Mask saved");
    onsave();
  }

  function refresh() {
    for (const [tool, item] of tools) item.setAttribute("aria-pressed", String(tool === state.tool));
    undo.disabled = !mask.done.length;
    redo.disabled = !mask.undone.length;
    size.value = String(Math.log(state.radius / 0.5) / Math.log(1000));
    fill(sizeText, `${Math.max(1, Math.round(2 * state.radius))} px`);
    size.setAttribute("aria-valuetext", sizeText.textContent);
    fill(rangeText, String(state.tolerance));
    sizeLabel.hidden = !["brush", "eraser"].includes(state.tool);
    rangeLabel.hidden = state.tool !== "wand";
    layer.value = mask.active;
    fill(layerMark, swatch(mask.active));
    shown.checked = state.shown;
    facts.classList.remove("wrong");
    const said = [share ? `${(100 * share).toPrecision(2)} % of the picture may change` : "Nothing is marked yet"];
    const named = mask.drawn().filter(Boolean);
    if (points.length) said.push(points.length === 1 ? "1 point" : `${points.length} points`);
    fill(facts, said.join(" · "), named.map((one) => [" ", h("span", { class: "named" }, swatch(one), one)]));
    view.draw();
  }

  canvas.dataset.tool = state.tool;
  canvas.style.setProperty("--shape", String(source.width / source.height)); // what a narrow page makes room for
  refresh();
  return { element, mask, points, help: HELP, view, choose, load, useClasses, refresh: mask.onedit, close: () => view.close() };
}
