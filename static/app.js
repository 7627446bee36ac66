// What every page needs. Each module finds its own elements by data attributes, also in parts that arrive later.
import "./theme.js";
import "./copy.js";
import "./notices.js";
import "./prose.js";
import "./source.js";
