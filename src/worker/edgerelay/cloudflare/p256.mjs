// P-256 signatures by WebCrypto.
//
// A check is a row: the uncompressed point of the key (65 bytes), the signature (64), the length of what was signed (4,
// big-endian), and what was signed. WebCrypto hashes by itself.

const SIGNATURE_AT = 65;
const LENGTH_AT = 129;
const SIGNED_AT = 133;

const CURVE = { name: "ECDSA", namedCurve: "P-256" };
const DIGEST = { name: "ECDSA", hash: "SHA-256" };

// Imported keys that are kept, as many as uncompressed points in Python. An import takes 20 us, a fifth of a check, and
// leaves native memory behind that only the garbage collector frees.
const MAX_KEYS = 1_024;
// By their point, the one that was used last at the end.
const keys = new Map();

const keyOf = async (point) => {
  const name = String.fromCharCode(...point);
  const key = keys.get(name) ?? (await crypto.subtle.importKey("raw", point, CURVE, false, ["verify"]));
  keys.delete(name);
  keys.set(name, key);
  if (keys.size > MAX_KEYS) keys.delete(keys.keys().next().value);
  return key;
};

const isRight = async (row) => {
  const key = await keyOf(row.subarray(0, SIGNATURE_AT));
  return crypto.subtle.verify(DIGEST, key, row.subarray(SIGNATURE_AT, LENGTH_AT), row.subarray(SIGNED_AT));
};

// Checks packed rows, and answers a byte for each: 1 if the signature is right.
export const checkP256 = async (packed) => {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const answers = [];
  for (let start = 0, end; start < packed.length; start = end) {
    end = start + SIGNED_AT + view.getUint32(start + LENGTH_AT);
    answers.push(isRight(packed.subarray(start, end)));
  }
  return Uint8Array.from(await Promise.all(answers));
};
