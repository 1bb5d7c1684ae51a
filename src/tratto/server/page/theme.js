// before anything is painted, so that a dark page does not flash up light
try {
  const theme = JSON.parse(localStorage.getItem("tratto.theme"));
  if (theme) document.documentElement.dataset.theme = theme;
} catch { /* forbidden: the system's choice counts */ }
