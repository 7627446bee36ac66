// Whoever has been signed out signs in over the task: what was typed stays where it is, and goes when they are back.
const dialog = document.getElementById("signed-out");

export const isSignedOut = () => dialog.open;
export const ask = () => dialog.open || dialog.showModal();
export const done = () => dialog.close();

/** signedIn(): the server knows them again. */
export function openSigning({ signedIn }) {
  const form = dialog.querySelector("form");
  const refused = dialog.querySelector("[data-refused]");
  const say = (words) => ((refused.textContent = words), (refused.hidden = !words));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    say("");
    const headers = { "HX-Request": "true", "Content-Type": "application/x-www-form-urlencoded" };
    const body = new URLSearchParams(new FormData(form)).toString();
    try {
      const response = await fetch(form.action, { method: "POST", headers, body });
      form.elements.password.value = "";
      if (response.ok) return done(), signedIn();
      const told = new DOMParser().parseFromString(await response.text(), "text/html");
      say(told.querySelector(".notice-text, [role=alert]")?.textContent.trim() || document.body.dataset.unreachable);
    } catch {
      say(document.body.dataset.unreachable);
    }
    form.elements.password.focus();
  });
}
