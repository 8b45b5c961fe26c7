"""The document API: journeys and templates over HTTP, for scripts."""
