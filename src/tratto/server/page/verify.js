/** Verify: anybody's file, with or without its bundle. */

import { post } from "./api.js";
import { announce, fill, h } from "./dom.js";

const WORDS = {
  authentic: ["Authentic", "Every file is exactly as it was sealed, and all statements agree."],
  altered: ["Altered", "Something is not as it was sealed."],
  unknown: ["Unknown", "There is nothing to check this against."],
};

/** Show what a check found. */
export function showVerdict(verdict) {
  const [word, about] = WORDS[verdict.verdict] ?? [verdict.verdict, ""];
  const steps = verdict.receipt?.steps ?? [];
  return h("section", { class: `verdict ${verdict.verdict}`, "aria-label": "Verdict" },
    h("h2", {}, word), h("p", {}, about), verdict.name && h("p", { class: "soft small" }, verdict.name),
    verdict.stamp && h("p", { class: "stamp" }, verdict.stamp), verdict.status && h("p", {}, `The receipt claims: ${verdict.status}${verdict.forensic ? ", made in forensic mode" : ""}.`),
    verdict.reasons.length > 0 && h("ul", {}, verdict.reasons.map((r) => h("li", {}, r))),
    steps.length > 0 && h("p", { class: "soft" }, `${verdict.receipt.task}: ${steps.map((s) => [s.step, s.provider].filter(Boolean).join(" by ")).join(", then ")}`),
    (verdict.chain ?? []).length > 0 && h("details", {}, h("summary", {}, "Made from earlier results"), h("ul", {}, verdict.chain.map((c) => h("li", {}, typeof c === "string" ? c : Object.values(c).filter((v) => typeof v === "string").join(", "))))));
}

export function verifyView(app) {
  const result = h("div", { role: "status" });
  const file = h("input", { type: "file", id: "verify-file", onchange: () => { if (file.files.length) check(); } });
  const bundle = h("input", { type: "file", id: "verify-bundle", accept: ".zip", onchange: () => { if (file.files.length) check(); } });
  async function check() {
    const form = new FormData();
    form.append("file", file.files[0], file.files[0].name);
    if (bundle.files.length) form.append("bundle", bundle.files[0], bundle.files[0].name);
    fill(result, h("p", { class: "soft" }, "Checking…"));
    try {
      const verdict = await post("/verify", form);
      fill(result, showVerdict(verdict));
      announce(WORDS[verdict.verdict]?.[0] ?? verdict.verdict);
    } catch (error) {
      fill(result);
      app.fail(error);
    }
  }
  const element = h("div", { class: "stack narrow" }, h("h1", {}, "Verify"),
    h("p", {}, "Find out whether a picture is exactly what Tratto made, and what was done to it. Drop a picture, the zip of a bundle, or a receipt here."),
    h("div", { class: "card stack" },
      h("div", { class: "field" }, h("label", { for: "verify-file" }, "Picture, bundle (zip) or receipt (JSON)"), file),
      h("div", { class: "field" }, h("label", { for: "verify-bundle" }, "Its bundle (optional)"), bundle,
        h("span", { class: "soft small" }, "The folder NAME.tratto as a zip. A downloaded bundle holds picture and receipt together and needs nothing else.")),
      h("p", { class: "soft small" }, "Nothing that is checked is kept.")), result);
  return { element, title: "Verify", take: (items) => { file.files = items.files; check(); } };
}
