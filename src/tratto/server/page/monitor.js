/** Monitor: how jobs, inputs and results do over time. */

import { get } from "./api.js";
import { monitorCharts } from "./charts.js";
import { fill, h } from "./dom.js";

const WINDOWS = { 1: "a day", 7: "a week", 30: "30 days", 90: "90 days", 365: "a year" };

export async function monitorView(app) {
  const place = h("div", {});
  let draw = () => {};
  let days = 30;
  async function load() {
    const made = monitorCharts(await get(`/monitor?days=${days}`));
    fill(place, made.element);
    draw = made.draw;
  }
  const choose = h("select", { id: "monitor-days", onchange: () => { days = Number(choose.value); load().then(() => draw()).catch(app.fail); } },
    Object.entries(WINDOWS).map(([value, text]) => h("option", { value, selected: Number(value) === days }, text)));
  const resized = () => draw();
  await load();
  window.addEventListener("resize", resized);
  return {
    title: "Monitor",
    element: h("div", {}, h("div", { class: "row" }, h("h1", {}, "Monitor"), h("label", { for: "monitor-days", class: "soft" }, "The last "), choose), place),
    shown: () => draw(),
    close: () => window.removeEventListener("resize", resized),
  };
}
