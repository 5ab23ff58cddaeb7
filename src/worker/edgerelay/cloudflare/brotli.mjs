// What Python imports to pack and unpack blocks. The platform answers with Buffers, which Python cannot take.
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";

const plain = (buffer) => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);

export const compress = (raw, quality) =>
  plain(brotliCompressSync(raw, { params: { [constants.BROTLI_PARAM_QUALITY]: quality } }));

export const decompress = (packed, maxOutputLength) => plain(brotliDecompressSync(packed, { maxOutputLength }));
