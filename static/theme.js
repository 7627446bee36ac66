// Light, dark, or as the system says; with high contrast or without. Choices are cookies, so the server draws the right
// ones from the first byte.
const root = document.documentElement;
const sheet = document.querySelector("link[data-contrast]");
const system = matchMedia("(prefers-contrast: more)");

function keep(name, value) {
  const age = value ? 31536000 : 0;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${name}=${value}; Path=/; Max-Age=${age}; SameSite=Lax${secure}`;
}

function choose(theme) {
  root.dataset.theme = theme;
  keep("hone_theme", theme === "auto" ? "" : theme);
  draw();
}

const isHigh = () => matchMedia(sheet.media).matches;

function turnContrast() {
  const wanted = !isHigh();
  const isAsked = wanted === system.matches;
  sheet.media = isAsked ? system.media : wanted ? "all" : "not all";
  keep("hone_contrast", isAsked ? "" : wanted ? "more" : "less");
  draw();
}

function draw() {
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", button.dataset.themeChoice === root.dataset.theme);
  }
  for (const button of document.querySelectorAll("[data-contrast-choice]")) button.setAttribute("aria-pressed", isHigh());
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-theme-choice], [data-contrast-choice]");
  if (!button) return;
  if ("contrastChoice" in button.dataset) turnContrast();
  else choose(button.dataset.themeChoice);
});
system.addEventListener("change", draw);
draw();
