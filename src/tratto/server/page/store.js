/** What the browser keeps between visits: masks that were begun, and what was chosen last. */

const opened = new Promise((resolve) => {
  const request = indexedDB.open("tratto", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("masks");
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => resolve(null); // a private window may have no store; then nothing is kept
});

function inStore(mode, work) {
  return opened.then((database) => database && new Promise((resolve) => {
    const request = work(database.transaction("masks", mode).objectStore("masks"));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(undefined);
  }));
}

/** Keep the mask and points of a picture. */
export const keepMask = (id, value) => inStore("readwrite", (s) => s.put(value, id));
/** Return what was kept of a picture. */
export const keptMask = (id) => inStore("readonly", (s) => s.get(id));
/** Forget a picture. */
export const forgetMask = (id) => inStore("readwrite", (s) => s.delete(id));

/** Keep a small value. */
export function keep(name, value) {
  try { localStorage.setItem(`tratto.${name}`, JSON.stringify(value)); } catch { /* full or forbidden: not kept */ }
}

/** Return a small value that was kept, or another. */
export function kept(name, otherwise) {
  try { return JSON.parse(localStorage.getItem(`tratto.${name}`)) ?? otherwise; } catch { return otherwise; }
}
