"""Documents: what marketers write and publish, such as journeys and templates, with every version kept."""
