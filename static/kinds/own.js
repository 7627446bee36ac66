// Questions of the project's own: asked one after the other, and only while their conditions hold. A question that is
// not asked is disabled, so nothing in it is sent; what was said there comes back when it is asked again.
import { shown } from "./conditions.js";
import { questions } from "./questions.js";

const TASK = "task";

export function own(element, host) {
  const asked = [...element.querySelectorAll("[data-question]")].map((fieldset) => ({
    fieldset,
    key: fieldset.dataset.key,
    place: fieldset.dataset.about || TASK,
    only_if: JSON.parse(fieldset.dataset.onlyIf || "[]"),
  }));

  function answerIn({ fieldset }) {
    const { type } = fieldset.dataset;
    if (type === "text") return fieldset.querySelector("textarea").value.trim() || undefined;
    if (type === "number") {
      const { value } = fieldset.querySelector("input");
      return value === "" ? undefined : Number(value);
    }
    const values = [...fieldset.querySelectorAll(":checked")].map((one) => one.value);
    if (!values.length) return undefined;
    if (type === "choices") return values;
    return type === "yes_no" ? values[0] === "yes" : type === "scale" ? Number(values[0]) : values[0];
  }

  function settled(place, before) {
    const here = asked.filter((one) => one.place === place);
    const said = {};
    for (const one of here) {
      const answer = answerIn(one);
      if (answer !== undefined) said[one.key] = answer;
    }
    const keys = shown(here, said, before);
    for (const one of here) one.fieldset.disabled = one.fieldset.hidden = !keys.includes(one.key);
    return Object.fromEntries(keys.filter((key) => key in said).map((key) => [key, said[key]]));
  }

  function settle() {
    const task = settled(TASK, {});
    for (const place of new Set(asked.map((one) => one.place))) if (place !== TASK) settled(place, task);
  }

  element.addEventListener("input", settle); // before the next module looks for what is open
  const block = questions(element, host);
  return {
    ...block,
    enter: () => {
      const text = element.querySelector(".marked[data-required] textarea");
      if (!text || text.value.trim() || document.activeElement === text) return block.enter();
      text.focus({ preventScroll: true });
      return true;
    },
    draw: () => {
      settle();
      block.draw();
    },
  };
}
