"""Who can do what: one folder for each capability, with a plain table of providers."""
