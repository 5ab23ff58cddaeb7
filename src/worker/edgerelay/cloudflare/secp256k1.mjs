// K-256 signatures by libsecp256k1, compiled to WebAssembly. It runs wherever it is given the compiled module.
//
// A check is a row: SHA-256 of what was signed (32 bytes), the signature (64), the compressed point of the key (33).

const ROW_BYTES = 129;
const SIGNATURE_AT = 32;
const POINT_AT = 96;
const POINT_BYTES = 33;
// A signature or a key as the library keeps it.
const PARSED_BYTES = 64;
// SECP256K1_CONTEXT_VERIFY: no tables for signing.
const VERIFY_ONLY = 0x101;

// The memory as Emscripten lays it out: data, a word that holds the end of the heap, a stack that grows upwards, the
// heap. A check takes 6 KB of the stack, the tables and the scratch 0.5 MB of the heap; the module, as build_assets.mjs
// edits it, imports exactly so many pages.
const PAGES = 16;
const PAGE_BYTES = 65_536;
const HEAP_END_AT = 68_736;
const STACK_AT = HEAP_END_AT + 16;
const STACK_BYTES = 262_144;

const fail = () => {
  throw new Error("libsecp256k1 gave up");
};

const instantiate = (module, memory) => {
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 6, maximum: 6 });
  new Uint32Array(memory.buffer, HEAP_END_AT, 1)[0] = STACK_AT + STACK_BYTES;
  const env = {
    memory,
    table,
    tableBase: 0,
    DYNAMICTOP_PTR: HEAP_END_AT,
    STACKTOP: STACK_AT,
    getTotalMemory: () => PAGES * PAGE_BYTES,
    _emscripten_memcpy_big: (to, from, bytes) => {
      new Uint8Array(memory.buffer).copyWithin(to, from, from + bytes);
      return to;
    },
    // Of a library that is built, loaded and called rightly nothing of this is heard.
    abort: fail,
    _abort: fail,
    abortOnCannotGrowMemory: fail,
    enlargeMemory: fail,
    ___setErrNo: fail,
  };
  return new WebAssembly.Instance(module, { env }).exports;
};

// Returns the function that checks packed rows, and answers a byte for each: 1 if the signature is right.
export const loadSecp256k1 = (module) => {
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
  const library = instantiate(module, memory);
  const context = library._secp256k1_context_create(VERIFY_ONLY);
  const row = library._malloc(ROW_BYTES);
  const signature = library._malloc(PARSED_BYTES);
  const key = library._malloc(PARSED_BYTES);
  const scratch = new Uint8Array(memory.buffer, row, ROW_BYTES);

  return (packed) => {
    const answers = new Uint8Array(packed.length / ROW_BYTES);
    for (let index = 0; index < answers.length; index++) {
      scratch.set(packed.subarray(index * ROW_BYTES, (index + 1) * ROW_BYTES));
      if (!library._secp256k1_ec_pubkey_parse(context, key, row + POINT_AT, POINT_BYTES)) {
        throw new Error("a public key that was not checked when it was read");
      }
      answers[index] =
        library._secp256k1_ecdsa_signature_parse_compact(context, signature, row + SIGNATURE_AT) &&
        library._secp256k1_ecdsa_verify(context, signature, row, key);
    }
    return answers;
  };
};
