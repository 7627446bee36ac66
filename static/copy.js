// Copy fields: the button copies, says so for a moment, and selects the text where the clipboard is refused.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = button.parentElement.querySelector("[data-copy-source]");
  source.select();
  try {
    await navigator.clipboard.writeText(source.value);
  } catch {
    return; // selected, so that the keys of the system copy it
  }
  const words = button.textContent;
  if (words === button.dataset.done) return;
  button.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = words; }, 2000);
});
