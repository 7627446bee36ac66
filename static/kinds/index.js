// Every kind's module, by the name in `data-kind`: (element, host) => block. A new kind is a line here.
//
// A block has: key(event) → whether it was for the block; missing() → what is still open in words, "" when nothing;
// enter() → whether Enter only led on to another question of the block; draw(), after fields were filled from outside;
// show(), when the hand comes to it.
// host: says (texts of the page), speak(words), tell(words) beside the title, mark(handle) shows which answer is spoken
// about, send(url, body) posts by the outbox; the server's word comes to the block's turned(entry, status, text).
import { conversation } from "./conversation.js";
import { own } from "./own.js";
import { questions } from "./questions.js";
import { ranking } from "./ranking.js";
import { rating } from "./rating.js";
import { rewrite } from "./rewrite.js";
import { written } from "./written.js";

const kinds = { comparison: questions, conversation, questions: own, rating, ranking, rewrite, demonstration: written, prompt: written };

export const blocksIn = (form, host) =>
  [...(form?.querySelectorAll("[data-kind]") || [])].filter((one) => kinds[one.dataset.kind]).map((one) => kinds[one.dataset.kind](one, host));
