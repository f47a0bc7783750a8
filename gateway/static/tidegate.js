// The browser client of Tidegate.
