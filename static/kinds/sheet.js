// A text that is as tall as what stands in it, so that nothing scrolls inside the page that scrolls.
export function growing(box) {
  if (CSS.supports("field-sizing", "content")) return;
  const grow = () => {
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + 2}px`;
  };
  box.addEventListener("input", grow);
  requestAnimationFrame(grow);
}
