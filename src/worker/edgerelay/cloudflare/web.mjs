// What Python imports to ask somebody on the web. A whole answer is one promise: each costs Python 0.1 ms and a turn of
// its loop, which is long while events come as fast as they can.

// Reads as much as anybody wants, and lets go of the rest.
const read = async (stream, limitBytes) => {
  const reader = stream.getReader();
  const chunks = [];
  let bytes = 0;
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    chunks.push(chunk.value);
    bytes += chunk.value.length;
    if (bytes >= limitBytes) {
      await reader.cancel();
      break;
    }
  }
  const body = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body.subarray(0, limitBytes);
};

export const get = async (url, userAgent, accept, timeoutMs, limitBytes) => {
  const answer = await fetch(url, {
    headers: { "user-agent": userAgent, accept },
    redirect: "manual",
    // A key that was rotated a second ago must be seen; how long answers are kept is decided elsewhere.
    cache: "no-store",
    signal: AbortSignal.timeout(timeoutMs),
  });
  const header = (name) => answer.headers.get(name) ?? "";
  const body = answer.body ? await read(answer.body, limitBytes) : new Uint8Array();
  const [retryAfter, date, contentType] = ["retry-after", "date", "content-type"].map(header);
  return { status: answer.status, retryAfter, date, contentType, body };
};
