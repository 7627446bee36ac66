// Rating: questions one after the other; the one about errors works on the text of its answer (spans.js).
import { questions } from "./questions.js";
import { spansIn } from "./spans.js";

export function rating(element, host) {
  const articleOf = (fieldset) => document.querySelector(`#task [data-answer="${CSS.escape(fieldset.dataset.about)}"]`);
  const errors = [...element.querySelectorAll("[data-errors]")].map((one) => spansIn(one, articleOf(one), host));
  const settle = () => {
    for (const one of errors) one.show(!element.hidden && one.fieldset.classList.contains("marked"));
  };
  const block = questions(element, { ...host, mark: (handle) => (host.mark(handle), settle()) });
  new MutationObserver(settle).observe(element, { attributes: true, attributeFilter: ["hidden"] });

  function key(event) {
    const now = element.querySelector(".marked");
    const here = errors.find((one) => one.fieldset === now);
    if (here?.key(event)) return true;
    if (event.key.toLowerCase() === "e" && now) {
      const asked = [...element.querySelectorAll("[data-question]")];
      const wanted = asked.findIndex((one) => "errors" in one.dataset && one.dataset.about === now.dataset.about);
      element.querySelectorAll(".step")[wanted]?.click();
      return wanted >= 0;
    }
    return block.key(event);
  }

  return {
    ...block,
    key,
    draw: () => {
      for (const one of errors) one.draw();
      block.draw();
    },
  };
}
