/** The mask editor as a page of its own, for work without a server: the picture lies in the page. */

import { fill, h } from "./dom.js";
import { createEditor } from "./editor.js";

const given = JSON.parse(document.getElementById("given").textContent);
const picture = new Image();
picture.src = given.picture;

const command = h("code", { class: "command" });
const copied = h("span", { class: "soft", role: "status" });

let editor = null;
editor = createEditor({
  source: { width: given.width, height: given.height, preview: picture.decode().then(() => picture) },
  name: given.name,
  saveAs: given.mask,
  classes: [],
  onchange: tell,
  onsave: tell,
});

const task = h("select", { onchange: tell }, Object.keys(given.commands).map((name) => h("option", { value: name }, name)));

/** Write the command that fits what was drawn: of points the one that finds the wall, else that of the chosen task. */
function tell() {
  const { points, mask } = editor ?? { points: [], mask: null };
  const clicks = points.map(({ x, y, on }) => ` ${on ? "--click" : "--not"} ${x},${y}`).join("");
  const wall = points.some((p) => p.on) && mask && !mask.drawn().length;
  fill(command, wall ? given.wall + clicks : given.commands[task.value]);
}

fill(
  document.getElementById("page"),
  h("header", { class: "bar" }, h("b", { class: "brand" }, "Tratto"), h("h1", {}, `Mask of ${given.name}`)),
  editor.element,
  h("section", { class: "next", "aria-labelledby": "next" },
    h("h2", { id: "next" }, "Then"),
    h("p", {}, "Save the mask beside the picture and run, in that folder:"),
    h("p", { class: "run" }, task, command, h("button", { type: "button", class: "quiet", onclick: async () => {
      await navigator.clipboard.writeText(command.textContent);
      fill(copied, "Copied");
    } }, "Copy"), copied),
    h("details", {}, h("summary", {}, "Keys in the drawing area"), h("dl", { class: "keys" },
      editor.help.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])))),
);
tell();
