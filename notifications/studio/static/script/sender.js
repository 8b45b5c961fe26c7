// Sender: buttons that copy a record, where the browser lets pages do that. Without this script the text is selected by hand.

const COPIED = 2000;

if (navigator.clipboard) {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
      setTimeout(() => {
        button.textContent = "Copy";
      }, COPIED);
    });
  }
}
