/** Before and after: one over the other with a slider, side by side or in turn, down to single pixels. */

import { announce, fill, h, icon } from "./dom.js";

// OpenSeadragon adds a style element, which the policy of the page refuses, unless it finds one: this one is of no namespace
// and styles nothing
const mark = document.createElementNS("", "style");
mark.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(mark);

const MODES = [["slider", "Slider", "1"], ["side", "Side by side", "2"], ["blink", "Blink", "3"], ["before", "Before", "4"], ["after", "After", "5"]];
const MAPS = { edit_map: "Edit map", confidence_map: "Confidence map", mask: "Mask" };
const ZOOM = { in: "M12 5v14M5 12h14", out: "M5 12h14" };

/** Return what OpenSeadragon shows of a picture that the server gives in tiles. */
export function tilesOf(base, view) {
  return {
    width: view.width, height: view.height, tileSize: view.tile, tileOverlap: 0, minLevel: view.min_level, maxLevel: view.max_level,
    getTileUrl: (level, x, y) => `${base}/tiles/${level}/${x}_${y}`,
  };
}

function makeViewer(element, label) {
  const { OpenSeadragon } = window;
  const viewer = new OpenSeadragon.Viewer({
    element, drawer: "canvas", showNavigationControl: false, showSequenceControl: false, maxZoomPixelRatio: 40, minZoomImageRatio: 0.6, visibilityRatio: 0.3,
    animationTime: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 0.5, gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    crossOriginPolicy: false, imageLoaderLimit: 6, maxTilesPerFrame: 4,
  });
  viewer.canvas.setAttribute("role", "application");
  viewer.canvas.setAttribute("aria-roledescription", "zoomable picture");
  viewer.canvas.setAttribute("aria-label", label);
  viewer.addHandler("canvas-key", (event) => {
    // turning the picture by a key would lay it over the other one askew; other keys belong to the page
    if (!/^(Arrow|[-+=0]$)/.test(event.originalEvent.key)) event.preventDefaultAction = true;
  });
  viewer.addHandler("zoom", () => { // single pixels stay squares
    const item = viewer.world.getItemAt(viewer.world.getItemCount() - 1);
    if (item) viewer.drawer.setImageSmoothingEnabled(item.viewportToImageZoom(viewer.viewport.getZoom()) < 2);
  });
  return viewer;
}

const add = (viewer, source, options = {}) => new Promise((resolve, reject) => {
  viewer.addTiledImage({ tileSource: source, x: 0, y: 0, width: 1, success: (e) => resolve(e.item), error: reject, ...options });
});

/**
 * Make the comparison.
 *
 * @param {string} base address of the job's pictures, without a slash at the end
 * @param {Object} pictures by role, as the server says: `before`, `after`, `edit_map`, …
 * @param {Array} regions
 * @returns {{element: HTMLElement, keys: (event: KeyboardEvent) => boolean, goTo: (box: number[], name: string) => void, close: () => void}}
 */
export function createCompare(base, pictures, regions = []) {
  const roles = Object.keys(MAPS).filter((role) => pictures[role]);
  const two = Boolean(pictures.before && pictures.after);
  const state = { mode: two ? "slider" : "after", map: "", blinkOn: true, held: false, region: null };
  const main = h("div", { class: "osd" });
  const second = h("div", { class: "osd", hidden: true });
  const tagLeft = h("span", { class: "tag left" });
  const tagRight = h("span", { class: "tag right" });
  const line = h("div", { class: "cut", "aria-hidden": "true" }, h("span", {}));
  const stage = h("div", { class: "stage" }, main, second, line, tagLeft, tagRight);
  const { width, height } = pictures.after ?? pictures.before ?? Object.values(pictures)[0];
  stage.style.setProperty("--shape", String(width / height)); // what a narrow page makes room for
  const slider = h("input", {
    type: "range", min: "0", max: "100", step: "0.5", value: "50", class: "compare-slider", "aria-label": "Divide between before and after",
    oninput: () => arrange(),
  });
  const strength = h("input", { type: "range", min: "0", max: "1", step: "0.05", value: "0.75", "aria-label": "Opacity of the map", oninput: () => arrange() });
  const legend = h("div", { class: "legend" });
  const zoomed = h("output", { class: "soft small zoom", title: "Screen pixels for one of the picture" });
  const modes = h("div", { class: "choices", role: "group", "aria-label": "How to compare" }, two && MODES.map(([mode, text, key]) => h(
    "button", { type: "button", "data-mode": mode, title: `${text} (${key})`, "aria-keyshortcuts": key, onclick: () => choose(mode) }, text)));
  const map = h("select", { "aria-keyshortcuts": "m", onchange: () => lay(map.value) }, h("option", { value: "" }, "None"), roles.map((r) => h("option", { value: r }, MAPS[r])));
  const zoomBy = (factor) => { free(); viewers().forEach((v, i) => i === 0 && v.viewport.zoomBy(factor).applyConstraints()); };
  const small = (props, ...children) => h("button", { type: "button", class: "small-button", ...props }, ...children);
  const element = h("div", { class: "compare" },
    h("div", { class: "compare-bar" }, modes,
      h("div", { class: "choices", role: "group", "aria-label": "Zoom" },
        small({ "aria-label": "Zoom out", title: "Zoom out (−)", onclick: () => zoomBy(1 / 1.6) }, icon(ZOOM.out)),
        small({ "aria-label": "Zoom in", title: "Zoom in (+)", onclick: () => zoomBy(1.6) }, icon(ZOOM.in)),
        small({ title: "Whole picture (0)", onclick: () => { fitted = true; a.viewport.goHome(); } }, "Fit"),
        small({ title: "One pixel of the picture for one of the screen", onclick: () => free() ?? a.viewport.zoomTo((items.after ?? items.before).imageToViewportZoom(1 / (window.devicePixelRatio || 1))) }, "1:1"), zoomed)),
    stage, slider,
    roles.length > 0 && h("div", { class: "map-bar" }, h("label", { class: "measure" }, "Overlay ", map), h("label", { class: "measure strength", hidden: true }, "Opacity ", strength), legend));

  const a = makeViewer(main, two ? "Before and after" : "Picture");
  let b = null;
  const items = { before: null, after: null, map: null, afterB: null, mapB: null };
  const viewers = () => (b ? [a, b] : [a]);
  const ready = (async () => {
    const top = pictures.after ? "after" : Object.keys(pictures)[0];
    if (pictures.before) items.before = await add(a, tilesOf(`${base}/before`, pictures.before));
    if (top !== "before") items.after = await add(a, tilesOf(`${base}/${top}`, pictures[top]));
    for (const region of regions) outline(a, region);
    arrange();
  })();
  // the stage gets its size when it is laid out, after the picture was fitted to what was there before
  let fitted = true;
  const fit = () => { if (fitted) for (const v of viewers()) v.viewport?.goHome(true); };
  const layout = new ResizeObserver(() => requestAnimationFrame(fit));
  layout.observe(main);
  ready.then(fit);
  const free = () => { fitted = false; };
  const heed = (viewer) => {
    ["canvas-press", "canvas-scroll", "canvas-pinch", "canvas-key"].forEach((name) => viewer.addHandler(name, free));
    viewer.addHandler("resize", () => requestAnimationFrame(fit)); // it learns of its own size later than the observer
  };
  heed(a);
  a.addHandler("update-viewport", () => { if (state.mode === "slider") cut(); });
  a.addHandler("zoom", () => {
    const item = items.after ?? items.before;
    if (item) fill(zoomed, `${Math.round(100 * item.viewportToImageZoom(a.viewport.getZoom()) * (window.devicePixelRatio || 1))} %`);
  });

  const rectOf = (box) => new window.OpenSeadragon.Rect(...box.map((v) => v / width));

  function outline(viewer, region) {
    if (!region.box) return;
    viewer.addOverlay({ element: h("div", { class: "region", "data-region": region.index }), location: rectOf(region.box) });
  }

  /** Clip what lies on top to the right of the slider. */
  function cut() {
    for (const item of [items.after, items.map]) {
      if (!item) continue;
      const size = item.getContentSize();
      const at = a.viewport.pointFromPixel(new window.OpenSeadragon.Point((slider.value / 100) * main.clientWidth, 0), true);
      const x = Math.min(size.x, Math.max(0, item.viewportToImageCoordinates(at.x, 0, true).x));
      item.setClip(new window.OpenSeadragon.Rect(x, 0, Math.max(size.x - x, 0.001), size.y));
    }
    line.style.left = `${slider.value}%`;
    const left = Number(slider.value);
    slider.setAttribute("aria-valuetext", `${Math.round(left)} % before, ${Math.round(100 - left)} % after`);
  }

  function arrange() {
    const { mode } = state;
    const lonely = !two;
    const opacity = Number(strength.value);
    const showAfter = lonely || (mode === "blink" ? state.blinkOn : mode !== "before" && mode !== "side") && !state.held;
    items.before?.setOpacity(1);
    items.after?.setOpacity(showAfter ? 1 : 0);
    items.map?.setOpacity(showAfter ? opacity : 0);
    items.mapB?.setOpacity(opacity);
    for (const item of [items.after, items.map]) if (item && mode !== "slider") item.setClip(null);
    if (mode === "slider") cut();
    line.hidden = slider.hidden = mode !== "slider" || lonely;
    second.hidden = mode !== "side";
    stage.classList.toggle("two", mode === "side");
    const beforeOnly = mode === "before" || (mode === "blink" && !state.blinkOn) || state.held;
    fill(tagLeft, lonely ? "" : mode === "slider" && !state.held ? "Before" : mode === "side" ? "Before" : beforeOnly ? "Before" : "After");
    fill(tagRight, mode === "slider" && !state.held && two ? "After" : mode === "side" ? "After" : "");
    for (const button of modes.children) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    for (const label of element.querySelectorAll(".strength")) label.hidden = !state.map;
    a.forceRedraw();
  }

  let timer = null;
  async function choose(mode) {
    state.mode = mode;
    clearInterval(timer);
    state.blinkOn = true;
    if (mode === "blink") timer = setInterval(() => { state.blinkOn = !state.blinkOn; arrange(); }, 700); // slower than flashes that harm
    if (mode === "side" && !b) {
      b = makeViewer(second, "After");
      items.afterB = await add(b, tilesOf(`${base}/after`, pictures.after));
      for (const region of regions) outline(b, region);
      heed(b);
      follow(a, b);
      follow(b, a);
      if (state.map) items.mapB = await add(b, tilesOf(`${base}/${state.map}`, pictures[state.map]));
    }
    arrange();
    announce(MODES.find((m) => m[0] === mode)[1]);
    if (mode === "side") goTo(state.region?.box ?? null, state.region?.name);
  }

  let leading = null;
  function follow(one, other) {
    one.addHandler("viewport-change", () => {
      if (leading && leading !== one) return;
      leading = one;
      other.viewport.zoomTo(one.viewport.getZoom(), null, true);
      other.viewport.panTo(one.viewport.getCenter(), true);
      leading = null;
    });
  }

  async function lay(role) {
    state.map = role;
    map.value = role;
    for (const [viewer, name] of [[a, "map"], [b, "mapB"]]) {
      if (items[name]) viewer.world.removeItem(items[name]);
      items[name] = null;
      if (viewer && role) items[name] = await add(viewer, tilesOf(`${base}/${role}`, pictures[role]), { opacity: 0 });
    }
    const scale = pictures[role]?.legend;
    fill(legend);
    if (scale) {
      const bar = h("span", { class: "ramp", "aria-hidden": "true" }, scale.colors.map((color) => {
        const part = h("i", {});
        part.style.background = color;
        return part;
      }));
      fill(legend, h("span", {}, String(scale.low)), bar, h("span", {}, `${scale.high} ${scale.unit}`));
    }
    arrange();
    announce(role ? `${MAPS[role]} laid over` : "No map");
  }

  // the line between the two can be taken hold of
  line.addEventListener("pointerdown", (event) => { line.setPointerCapture(event.pointerId); event.preventDefault(); event.stopPropagation(); });
  line.addEventListener("pointermove", (event) => {
    if (!line.hasPointerCapture(event.pointerId)) return;
    const box = stage.getBoundingClientRect();
    slider.value = String((100 * (event.clientX - box.left)) / box.width);
    arrange();
  });

  /** Show a part of the picture, and mark it. */
  function goTo(box, name) {
    state.region = box ? { box, name } : null;
    fitted = !box;
    for (const viewer of viewers()) {
      if (box) {
        const rect = rectOf(box);
        const room = Math.max(rect.width, rect.height) * 0.35;
        rect.x -= room; rect.y -= room; rect.width += 2 * room; rect.height += 2 * room;
        viewer.viewport.fitBounds(rect);
      } else viewer.viewport.goHome();
      for (const mark of viewer.element.querySelectorAll(".region")) mark.classList.toggle("chosen", mark.dataset.region === String(name));
    }
  }

  function keys(event) {
    const found = two && MODES.find((m) => m[2] === event.key);
    if (found) choose(found[0]);
    else if (event.key === "m" && roles.length) lay(["", ...roles][(["", ...roles].indexOf(state.map) + 1) % (roles.length + 1)]);
    else if (event.key === "b" && two) { state.held = !state.held; arrange(); announce(state.held ? "Before" : "Compare"); } else return false;
    return true;
  }

  return {
    element, ready, keys, goTo, choose, viewer: a, state,
    close() {
      clearInterval(timer);
      layout.disconnect();
      for (const viewer of viewers()) viewer.destroy();
    },
  };
}
