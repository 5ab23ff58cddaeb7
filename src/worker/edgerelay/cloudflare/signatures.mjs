// What Python imports to check signatures.
import { loadSecp256k1 } from "./secp256k1.mjs";
import secp256k1 from "./secp256k1.wasm";

export { checkP256 } from "./p256.mjs";
export const checkK256 = loadSecp256k1(secp256k1);
