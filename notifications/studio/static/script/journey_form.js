// Journey form: what is said while it saves itself. Without this script the form is saved by its buttons.

const form = document.getElementById("journey");
const saved = document.getElementById("saved");
const SHOWN = [409, 422];
let saving = 0;
let waiting = null;

// A refusal comes with the same parts as a save: they say what is wrong, and where.
document.body.addEventListener("htmx:beforeSwap", (event) => {
  if (SHOWN.includes(event.detail.xhr.status)) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});

// The time of the last save by the clock of whoever looks.
function localTimes() {
  saved.querySelectorAll("time[data-local]").forEach((time) => {
    time.textContent = new Date(time.dateTime).toLocaleTimeString([], { timeStyle: "short" });
  });
}
localTimes();

document.body.addEventListener("htmx:beforeRequest", () => {
  saving += 1;
  saved.textContent = "Saving …";
});

document.body.addEventListener("htmx:afterRequest", () => {
  saving -= 1;
  mark();
  localTimes();
  if (waiting && !saving) {
    form.requestSubmit(waiting.button);
  }
});

document.body.addEventListener("htmx:responseError", (event) => {
  const signedOut = [401, 403].includes(event.detail.xhr.status);
  saved.textContent = signedOut
    ? "Not saved: you are signed out, or may not change it any more. Sign in in another window, then change any field."
    : "Not saved: the console did not take it. Change any field to try again.";
});

document.body.addEventListener("htmx:sendError", () => {
  saved.textContent = "Not saved: no connection. Change any field to try again.";
});

// A button waits for the save under way: both would carry the same version, and the second one be refused.
form.addEventListener("submit", (event) => {
  if (saving && !waiting) {
    event.preventDefault();
    waiting = { button: event.submitter };
  }
});

// A button of the audience brings the whole builder anew: until it is there, nothing in the old one can be changed.
form.addEventListener("click", (event) => {
  if (event.target.closest(".audience button")) busy(true);
});
["htmx:responseError", "htmx:sendError"].forEach((name) => {
  document.body.addEventListener(name, () => busy(false));
});

function busy(is) {
  document.getElementById("audience").inert = is;
}

// There is always an empty row for one more amount.
form.addEventListener("input", (event) => {
  const row = event.target.closest("[data-row]");
  if (row && row.matches(":last-of-type") && event.target.value) {
    const next = row.cloneNode(true);
    next.querySelectorAll("input").forEach((input) => {
      input.value = "";
      input.removeAttribute("value");
    });
    row.after(next);
  }
});

// The link beside a mail goes to the one that is chosen.
form.addEventListener("change", (event) => {
  const { mail } = event.target.dataset;
  const link = event.target.parentElement.querySelector("a");
  if (mail === undefined || !link) return;
  const chosen = event.target.value || mail;
  link.href = `/templates/${encodeURIComponent(chosen)}`;
  link.textContent = `Edit or preview ${chosen}`;
});

function mark() {
  form.querySelectorAll(".wrong").forEach((words) => {
    if (words.textContent && words.closest("details")) words.closest("details").open = true;
    const field = words.closest(".setting:not(.journey-steps)"); // of many controls, the words name the wrong one
    if (field?.querySelector(".audience")) {
      markConditions(field, words);
      return;
    }
    field?.querySelectorAll("input, select").forEach((input) => {
      if (words.textContent) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    });
  });
}

// Which condition is wrong is said by name; a condition that was marked is so until the whole is right.
function markConditions(field, words) {
  const label = words.textContent.split(":")[0].toLowerCase();
  field.querySelectorAll(".condition").forEach((row) => {
    const wrong = words.textContent && row.querySelector(".of").textContent.toLowerCase() === label;
    row.classList.toggle("is-wrong", Boolean(wrong));
    row.querySelectorAll("[aria-label$=': value']").forEach((input) => {
      if (wrong) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    });
  });
}
