/** A form made of a task's schema: a task that is added to the server later has its form here without a line of code. */

import { fill, h } from "./dom.js";

const GROUPS = { task: "Options", writing: "How the result is written", papers: "On its papers", run: "How it runs" };
/** Options of a task that are seen at once; the others stand below a heading that opens. */
const FIRST = 5;

const inWords = (name) => name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");

/** Return the part of a schema that is not null. */
function core(schema) {
  if (!schema.anyOf) return schema;
  return { ...schema, ...(schema.anyOf.find((s) => s.type !== "null") ?? {}) };
}

const points = (text) => text.trim().split(/\s+/).filter(Boolean).map((pair) => {
  const place = pair.split(",").map(Number);
  if (place.length !== 2 || place.some(Number.isNaN)) throw new Error("Write points as x,y with a space between two of them.");
  return place;
});
const pair = (text) => {
  const two = text.split(/[,;\s]+/).filter(Boolean).map(Number);
  if (two.length !== 2 || two.some(Number.isNaN)) throw new Error("Write two numbers, such as 3,2.");
  return two;
};
const values = (text) => Object.fromEntries(text.split("\n").filter((l) => l.trim()).map((line) => {
  const [name, ...rest] = line.split("=");
  const value = rest.join("=").trim();
  if (!value) throw new Error("Write one name=value in a line.");
  return [name.trim(), value === "true" ? true : value === "false" ? false : Number.isNaN(Number(value)) ? value : Number(value)];
}));

/** How text becomes a value, and a value text, by widget. */
const TEXTS = {
  points: [points, (v) => v.map((p) => p.join(",")).join(" ")],
  corners: [points, (v) => v.map((p) => p.join(",")).join(" ")],
  point: [pair, (v) => v.join(",")],
  pair: [pair, (v) => v.join(",")],
  names: [(t) => t.split(/[,\n]+/).map((n) => n.trim()).filter(Boolean), (v) => v.join(", ")],
  values: [values, (v) => Object.entries(v).map(([n, x]) => `${n}=${x}`).join("\n")],
};

/**
 * One field.
 *
 * @returns {{element: HTMLElement, read: () => any, write: (value: any) => void, wrong: (text: string) => void, focus: () => void}}
 */
function makeField(name, schema, { onchange, pick, words, prefix }) {
  const base = core(schema);
  const several = base.items?.enum ? "several" : null; // some of a few names: boxes to tick
  const widget = name === "template" ? "template" : several ?? schema["x-widget"] ?? guess(base);
  const unit = schema["x-unit"];
  const id = `${prefix}-${name}`;
  const said = { id, "aria-describedby": `${id}-help ${id}-wrong`, oninput: () => { wrong(""); onchange(); } };
  const nullable = schema.anyOf?.some((s) => s.type === "null") || schema.default === null;
  let input;
  let control;
  let read = () => (input.value === "" ? undefined : input.value);
  let write = (value) => { input.value = value ?? ""; };
  const label = several ? h("b", {}, inWords(name)) : h("label", { for: id }, inWords(name));

  if (widget === "switch") {
    input = h("input", { ...said, type: "checkbox" });
    control = null;
    read = () => input.checked;
    write = (value) => { input.checked = Boolean(value); };
  } else if (widget === "choice") {
    const choices = base.enum ?? [];
    input = h("select", said, choices.map((c) => h("option", { value: String(c) }, String(c))));
    control = input;
    read = () => choices.find((c) => String(c) === input.value);
    write = (value) => { input.value = String(value ?? choices[0]); };
  } else if (widget === "template") {
    input = h("select", said, h("option", { value: "" }, "none"), words.map((w) => h("option", { value: w.name, title: w.text }, w.name)));
    control = input;
    read = () => input.value;
  } else if (widget === "several") {
    const boxes = base.items.enum.map((choice) => [choice, h("input", { type: "checkbox", onchange })]);
    input = boxes[0][1];
    control = h("span", { class: "boxes", role: "group", "aria-label": inWords(name) }, boxes.map(([choice, box]) => h("label", { class: "check" }, box, String(choice))));
    read = () => boxes.filter(([, box]) => box.checked).map(([choice]) => choice);
    write = (value) => boxes.forEach(([choice, box]) => { box.checked = (value ?? []).includes(choice); });
  } else if (widget === "number" || widget === "integer") {
    const [low, high] = [base.minimum ?? base.exclusiveMinimum, base.maximum ?? base.exclusiveMaximum];
    input = h("input", { ...said, type: "number", inputmode: widget === "integer" ? "numeric" : "decimal", min: base.minimum, max: base.maximum,
      step: widget === "integer" ? "1" : "any", placeholder: nullable ? "automatic" : null, required: !nullable });
    control = input;
    read = () => (input.value === "" ? (nullable ? null : undefined) : Number(input.value));
    if (low === 0 && high === 1 && !nullable) {
      const slider = h("input", { type: "range", min: "0", max: "1", step: "0.05", "aria-label": inWords(name), tabindex: "-1",
        oninput: () => { input.value = slider.value; onchange(); } });
      input.addEventListener("input", () => { slider.value = input.value; });
      control = h("span", { class: "with-range" }, input, slider);
      write = (value) => { input.value = value ?? ""; slider.value = input.value; };
    }
  } else if (widget === "color") {
    input = h("input", { ...said, type: "text", placeholder: "#c8d4e0", autocomplete: "off", spellcheck: "false" });
    const picker = h("input", { type: "color", "aria-label": `${inWords(name)}: choose`, value: "#c8d4e0", oninput: () => { input.value = picker.value; wrong(""); onchange(); } });
    input.addEventListener("input", () => { if (/^#[0-9a-f]{6}$/i.test(input.value)) picker.value = input.value; });
    control = h("span", { class: "row" }, input, picker);
    read = () => (input.value.trim() === "" ? null : input.value.trim());
    write = (value) => { input.value = value ?? ""; if (/^#[0-9a-f]{6}$/i.test(input.value)) picker.value = input.value; };
  } else {
    const [parse, print] = TEXTS[widget] ?? [null, null];
    const long = widget === "words" || widget === "values";
    input = h(long ? "textarea" : "input", { ...said, ...(long ? { rows: widget === "words" ? "3" : "2" } : { type: "text" }), maxlength: base.maxLength,
      autocomplete: "off", spellcheck: widget === "words" ? null : "false", placeholder: nullable ? "automatic" : null });
    control = input;
    if (parse) {
      read = () => (input.value.trim() ? parse(input.value) : nullable ? null : undefined);
      write = (value) => { input.value = value && (value.length ?? Object.keys(value).length) ? print(value) : ""; };
    } else read = () => (input.value === "" ? (nullable ? null : schema.default === "" ? "" : undefined) : numeric(base, input.value));
    if (["points", "corners", "point"].includes(widget) && pick) {
      control = h("span", { class: "row" }, input, h("button", { type: "button", class: "quiet", onclick: () => { write(pick(name, widget)); wrong(""); onchange(); } }, "Take points"));
    }
  }

  const problem = h("span", { id: `${id}-wrong`, class: "wrong small", role: "alert" });
  function wrong(text) {
    fill(problem, text);
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }
  const help = h("span", { id: `${id}-help`, class: "soft small" }, schema.description ?? "", unit && !(schema.description ?? "").includes(unit) ? ` In ${unit}.` : "");
  const element = widget === "switch"
    ? h("div", { class: "field" }, h("span", { class: "check" }, input, label), help, problem)
    : h("div", { class: "field" }, h("span", { class: "label" }, label, unit && h("span", { class: "soft small" }, unit)), control, help, problem);
  return { element, read, write, wrong, focus: () => { input.closest("details")?.setAttribute("open", ""); input.focus(); element.scrollIntoView({ block: "nearest" }); }, input };
}

function guess(base) {
  if (base.enum) return "choice";
  return { boolean: "switch", number: "number", integer: "integer", array: "names", object: "values" }[base.type] ?? (base.maxLength >= 1000 ? "words" : "text");
}

/** A text that may stand for a number, such as the number of a page or "all". */
const numeric = (base, text) => (base.type === "integer" && /^-?\d+$/.test(text) ? Number(text) : text);

/**
 * Make the form of a schema.
 *
 * @param {Object} schema of an object; properties in the order to be shown
 * @param {Object} settings
 * @param {Object} [settings.values] by name, what was chosen before
 * @param {() => void} [settings.onchange]
 * @param {(name: string, widget: string) => Array} [settings.pick] points of the picture
 * @param {Array} [settings.words] templates, {name, text}
 * @param {string[]} [settings.without] names that are not shown
 * @param {string} [settings.prefix] of the fields' ids, where there are several forms
 * @returns {{element: HTMLElement, read: () => Object|null, values: () => Object, complain: (option: string, message: string) => boolean}}
 */
export function makeForm(schema, { values: before = {}, onchange = () => {}, pick = null, words = [], without = [], prefix = "option" } = {}) {
  const fields = new Map();
  const groups = new Map();
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (without.includes(name) || (name === "template" && !words.length)) continue;
    const field = makeField(name, property, { onchange, pick, words, prefix });
    field.write(name in before ? before[name] : property.default);
    fields.set(name, { ...field, property });
    const group = property["x-group"] ?? "task";
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(field.element);
  }
  const parts = [];
  for (const [group, elements] of groups) {
    const title = GROUPS[group] ?? inWords(group);
    if (group === "task") {
      parts.push(...elements.slice(0, FIRST));
      if (elements.length > FIRST) parts.push(h("details", { class: "group" }, h("summary", {}, "More options"), elements.slice(FIRST)));
    } else parts.push(h("details", { class: "group" }, h("summary", {}, title), elements));
  }

  function values() {
    const found = {};
    for (const [name, field] of fields) {
      let value;
      try { value = field.read(); } catch { continue; }
      if (value !== undefined && JSON.stringify(value) !== JSON.stringify(field.property.default ?? null)) found[name] = value;
    }
    return found;
  }

  /** What is said differently from the defaults; null where something is wrong, which is then shown and focused. */
  function read() {
    let first = null;
    for (const field of fields.values()) {
      try {
        field.read();
        field.wrong(field.input.checkValidity() ? "" : field.input.validationMessage);
        if (!field.input.checkValidity()) first ??= field;
      } catch (error) {
        field.wrong(error.message);
        first ??= field;
      }
    }
    first?.focus();
    return first ? null : values();
  }

  /** Show what the server says of an option; false: it is none of these. */
  function complain(option, message) {
    const field = fields.get((option ?? "").replace(/^options\./, "").split(".")[0]);
    if (!field) return false;
    field.wrong(message.replace(/^options\.[\w.]+: /, "")); // it stands at the option
    field.focus();
    return true;
  }

  return { element: h("div", { class: "form" }, parts), read, values, complain };
}
