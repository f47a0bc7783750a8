"""The parts of the browser client, one noun a module; tidegate.js puts them together."""
