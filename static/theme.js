// Light, dark, or as the system says. The choice is a cookie, so the server draws the right one from the first byte.
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");

function shown() {
  return root.dataset.theme === "auto" ? (dark.matches ? "dark" : "light") : root.dataset.theme;
}

function choose(theme) {
  const system = dark.matches ? "dark" : "light";
  root.dataset.theme = theme === system ? "auto" : theme;
  const age = root.dataset.theme === "auto" ? 0 : 31536000;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `hone_theme=${theme}; Path=/; Max-Age=${age}; SameSite=Lax${secure}`;
}

for (const button of document.querySelectorAll("[data-theme-choice]")) {
  button.hidden = false;
  button.addEventListener("click", () => choose(shown() === "dark" ? "light" : "dark"));
}
