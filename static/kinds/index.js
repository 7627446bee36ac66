// Every kind's module, by the name in `data-kind`: (element, host) => block. A new kind is a line here.
//
// A block has: key(event) → whether it was for the block; missing() → what is still open in words, "" when nothing;
// enter() → whether Enter only led on to another question of the block; draw(), after fields were filled from outside;
// show(), when the hand comes to it.
// host: says (texts of the page), speak(words), mark(handle) shows which answer is spoken about.
import { own } from "./own.js";
import { questions } from "./questions.js";
import { ranking } from "./ranking.js";
import { rating } from "./rating.js";
import { rewrite } from "./rewrite.js";
import { written } from "./written.js";

const kinds = { comparison: questions, questions: own, rating, ranking, rewrite, demonstration: written, prompt: written };

export const blocksIn = (form, host) =>
  [...(form?.querySelectorAll("[data-kind]") || [])].filter((one) => kinds[one.dataset.kind]).map((one) => kinds[one.dataset.kind](one, host));
