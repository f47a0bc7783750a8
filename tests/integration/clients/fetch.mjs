// Node's own fetch: writes what it reads of a stream, and fails where the end of it is an error.
const response = await fetch(process.argv[2]);

for await (const part of response.body) {
  process.stdout.write(part);
}
