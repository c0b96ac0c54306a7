// The start: lists, legends and the comparison are set up, then the view that the address names is shown.

all(document, ".shelf").forEach(setUpList);
all(document, ".legend").forEach(setUpLegend);
all(document, "#compare").forEach(setUpCompare);
all(document, ".scroll").forEach(addTableTools);
all(document, ".scroll").forEach(addSidewaysLine);
all(document, ".plot").forEach(addChartTools);
all(document, ".shelf .status").forEach((status) => {
  status.after(html("p", { className: "tools" }, linkButton(() => {
    const values = new Map();
    viewParts.forEach((part) => part.write(values));
    return values;
  }, "Copy link to this view")));
});
closer.querySelector("[data-link]").addEventListener("click", (event) => {
  copyText(linkTo(new Map([["arm", arms.byNumber.get(armNumber(looked)).key]]))).then(() => confirmCopy(event.target));
});
closer.querySelector("[data-compare]").addEventListener("click", () => {
  const arm = arms.byNumber.get(armNumber(looked)), section = document.getElementById("compare");
  history.replaceState({}, ""); // the dialog's entry becomes that of the comparison
  looked = null;
  closer.close();
  section.compareWithNone(arm);
  section.scrollIntoView();
});
startPermalinks();
lookFor(document);
