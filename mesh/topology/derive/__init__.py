"""Pure functions: topology and declarations become server configurations, API requests and documents."""
