"""The browser client: ES modules as they stand, without a build step. tidegate.d.ts is their contract."""
