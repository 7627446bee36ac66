// The browser's own Back, after an answer, opens that answer again, as Z does; its Forward goes on to the task. A further
// Back leaves the page: nobody is kept here.
export function openReturning({ back, forward }) {
  addEventListener("popstate", ({ state }) => {
    if (state?.hone === "before") back();
    if (state?.hone === "after") forward();
  });

  /** An answer is saved, and the next task stands there. */
  return function answered() {
    if (history.state?.hone === "after") return;
    history.replaceState({ hone: "before" }, "");
    history.pushState({ hone: "after" }, "");
  };
}
