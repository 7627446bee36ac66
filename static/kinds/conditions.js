// When a question is asked, as app/projects/protocols/conditions.py has it: the server decides, the page only mirrors.
// An answer: true or false, a number, a text, a list of keys; undefined: none.

const chosen = (answer) => (typeof answer === "boolean" ? [answer ? "yes" : "no"] : Array.isArray(answer) ? answer : [String(answer)]);

export function holds({ values = [], least = null, most = null }, answer) {
  if (answer === undefined || answer === null) return false;
  if (values.length) return chosen(answer).some((key) => values.includes(key));
  if (typeof answer !== "number") return true;
  return (least === null || answer >= least) && (most === null || answer <= most);
}

// Keys of the questions that are asked, in their order. questions: [{key, only_if: [conditions]}]; said: answers by key.
export function shown(questions, said, before = {}) {
  const counted = new Map(Object.entries(before));
  const asked = [];
  for (const { key, only_if: conditions } of questions) {
    if (!conditions.every((condition) => holds(condition, counted.get(condition.question)))) continue;
    asked.push(key);
    if (Object.hasOwn(said, key)) counted.set(key, said[key]);
  }
  return asked;
}
