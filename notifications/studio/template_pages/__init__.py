"""Template pages: marketers list, edit, preview, check and publish the mails that shoppers get."""
