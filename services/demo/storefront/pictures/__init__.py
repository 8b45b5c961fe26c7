"""Pictures: every product drawn by code, as SVG for pages and as PNG for mails."""
