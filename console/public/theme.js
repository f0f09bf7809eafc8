// Before the first paint, so that the page does not flash in the other colours.
try {
  const theme = localStorage.getItem('walhook-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; the system's preference holds.
}
