/* The offline verifier of Hilum proofs for the reader's own browser.
 *
 * The same ten steps, names and file formats as the Python package `hilum.verifier`, written apart from
 * it. Uses WebCrypto only (SHA-256, Ed25519); fetches nothing and keeps nothing.
 */

export const STEPS = Object.freeze([
  "format", "payload", "journal-path", "checkpoint", "cell-value",
  "cell-path", "batch-record", "anchor", "inclusion", "headers",
]);

const TEST_LABEL = "a test network: its coins are worthless and so is the work behind this proof";

/* Source: Bitcoin Core 29.0, src/kernel/chainparams.cpp (genesis, powLimit, nMinimumChainWork). */
const NETWORKS = {
  mainnet: {
    genesis: "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
    bits: 0x1d00ffff,
    work: 0xb1f3b93b65b16d035a82be84n,
    label: "Bitcoin: orders and keeps the record; what it says is its custodian's word",
  },
  testnet4: {
    genesis: "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
    bits: 0x1d00ffff,
    work: 0x1d6dce8651b6094e4c1n,
    label: `testnet4: ${TEST_LABEL}`,
  },
  signet: {
    genesis: "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
    bits: 0x1e0377ae,
    work: 0x2b517f3d1a1n,
    label: `signet: ${TEST_LABEL}`,
  },
  regtest: {
    genesis: "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
    bits: 0x207fffff,
    work: 0n,
    label: "regtest: this chain proves nothing to outsiders",
  },
};

const ACTIONS = {
  1: "read", 2: "search", 4: "history", 8: "contribute", 16: "export", 32: "subscribe", 64: "aggregate",
};
const OUTCOMES = { 1: "permit", 2: "emergency", 3: "absent" };
const MODES = { 1: "rollup", 2: "validium", 3: "stamp" };
const MAX_PROOF_BYTES = 1 << 20;
const U32 = 0xffffffff;
const DEPTH = 32;
const NOTE = new RegExp(
  "^(([!-*,-~]{1,200})\\n(0|[1-9][0-9]{0,14})\\n([A-Za-z0-9+/]{43}=)\\n)" +
  "\\n\\u2014 ([!-*,-~]{1,200}) ([A-Za-z0-9+/]{91}=)\\n$",
);

class StepFailed extends Error {
  constructor(step, why) {
    super(why);
    this.step = step;
  }
}

function fail(step, why) {
  throw new StepFailed(step, why);
}

/**
 * Check a proof file against a headers file.
 *
 * @param {string|Uint8Array} proofText the proof file, as text or bytes
 * @param {string|Uint8Array} headersText the headers file, as text or bytes
 * @returns {Promise<{ok: boolean, failedStep: string|null, why: string|null, report: object|null}>}
 */
export async function verifyProof(proofText, headersText) {
  try {
    const report = await verify(proofText, headersText);
    return { ok: true, failedStep: null, why: null, report };
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    return { ok: false, failedStep: error.step, why: error.message, report: null };
  }
}

async function verify(proofText, headersText) {
  const proof = readProof(proofText);
  const receipt = readReceipt(proof.receipt);
  const head = readNote(proof.checkpoint);
  const leaf = await tagged("hilum/receipt/v1", proof.salt, proof.receipt);
  await verifyJournalPath(proof.path, leaf, receipt.number, head);
  await verifyNote(head, receipt.custodian);
  const value = await verifyCellValue(proof, head);
  const stateRoot = await rootOfCell(proof.cell, value);
  const record = readRecord(proof.batch, stateRoot);
  const anchor = await readAnchor(proof.transaction);
  if (!equal(anchor.record, proof.batch)) fail("anchor", "the transaction carries another record");
  const chain = readHeaders(headersText);
  if (proof.height >= chain.count) fail("headers", "the headers do not reach the anchor's height");
  const header = chain.header(proof.height);
  const root = await rootOfBranch(anchor.txid, proof.branch, proof.index);
  if (!equal(root, header.subarray(36, 68))) {
    fail("inclusion", "the path does not lead to the block's Merkle root");
  }
  await verifyHeaders(chain);
  return {
    receiptId: hex(leaf.subarray(0, 16)),
    custodian: hex(receipt.custodian),
    number: Number(receipt.number),
    atUnixMs: Number(receipt.atUnixMs),
    person: receipt.labels[0],
    client: receipt.labels[1],
    organisation: receipt.labels[2],
    purpose: receipt.purpose,
    action: receipt.action,
    outcome: receipt.outcome,
    count: receipt.count,
    origin: head.origin,
    journalSize: Number(head.size),
    batch: record.number,
    mode: record.mode,
    txid: hex(anchor.txid.toReversed()),
    height: proof.height,
    blockTimeUnixS: new DataView(header.buffer, header.byteOffset).getUint32(68, true),
    confirmations: chain.count - proof.height,
    network: chain.network,
    label: NETWORKS[chain.network].label,
  };
}

/* ---- format ---------------------------------------------------------------------------------- */

function parseCanonical(text, step, limit) {
  let whole = text;
  if (typeof text !== "string") {
    if (text.byteLength > limit) fail(step, "larger than such a file is");
    try {
      whole = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(text);
    } catch {
      fail(step, "not UTF-8");
    }
  } else if (text.length > limit || new TextEncoder().encode(text).length > limit) {
    fail(step, "larger than such a file is");
  }
  let value;
  try {
    value = JSON.parse(whole);
  } catch {
    fail(step, "not canonical JSON");
  }
  let again;
  try {
    again = canonical(value, step);
  } catch (error) {
    if (error instanceof RangeError) fail(step, "nested too deeply");
    throw error;
  }
  if (again !== whole) fail(step, "JSON, but not in canonical form");
  return value;
}

function canonical(value, step) {
  if (typeof value === "string") {
    if (!value.isWellFormed()) fail(step, "a text is not valid Unicode");
    return JSON.stringify(value);
  }
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number" && Number.isSafeInteger(value) && !Object.is(value, -0)) return String(value);
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item, step)).join(",")}]`;
  if (value === null || typeof value !== "object") fail(step, "not canonical JSON");
  const names = Object.keys(value).sort();
  if (names.some((name) => /[^\x00-\x7f]/.test(name))) fail(step, "keys are ASCII text");
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name], step)}`).join(",")}}`;
}

function takeObject(value, names, step) {
  const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
  if (!isObject || Object.keys(value).sort().join() !== names) {
    fail(step, "other fields than the format has");
  }
  return value;
}

function takeHex(value, size, step) {
  if (typeof value !== "string" || !/^(?:[0-9a-f]{2})+$/.test(value)) {
    fail(step, "not lower-case hex");
  }
  if (size !== null && value.length !== 2 * size) fail(step, "hex of another length");
  const data = new Uint8Array(value.length / 2);
  for (let at = 0; at < data.length; at += 1) data[at] = parseInt(value.slice(2 * at, 2 * at + 2), 16);
  return data;
}

function takeInt(value, limit, step) {
  if (typeof value !== "number" || value < 0 || value > limit) fail(step, "not a number in range");
  return value;
}

function takeHashes(value, limit, step) {
  if (!Array.isArray(value) || value.length > limit) fail(step, "not a list of hashes");
  return value.map((item) => takeHex(item, 32, step));
}

function readProof(text) {
  const step = "format";
  const value = takeObject(
    parseCanonical(text, step, MAX_PROOF_BYTES),
    "anchor,batch,cell,checkpoint,format,path,receipt,salt", step,
  );
  if (value.format !== "hilum-proof-1") fail(step, "unknown format");
  const anchor = takeObject(value.anchor, "height,index,path,transaction", step);
  const cell = takeObject(value.cell, "index,levels,owner,path,rule,salt,seq,size,until", step);
  if (typeof value.checkpoint !== "string" || [...value.checkpoint].length > 1000) {
    fail(step, "not a text, or too long");
  }
  return {
    receipt: takeHex(value.receipt, null, step),
    salt: takeHex(value.salt, 32, step),
    path: takeHashes(value.path, 64, step),
    checkpoint: value.checkpoint,
    cell: {
      index: takeInt(cell.index, U32, step),
      rule: takeInt(cell.rule, 0xff, step),
      owner: takeHex(cell.owner, 32, step),
      seq: takeInt(cell.seq, U32, step),
      until: takeInt(cell.until, U32, step),
      size: takeInt(cell.size, Number.MAX_SAFE_INTEGER, step),
      salt: takeHex(cell.salt, 32, step),
      levels: takeInt(cell.levels, U32, step),
      path: takeHashes(cell.path, DEPTH, step),
    },
    batch: takeHex(value.batch, 78, step),
    transaction: takeHex(anchor.transaction, null, step),
    height: takeInt(anchor.height, U32, step),
    index: takeInt(anchor.index, U32, step),
    branch: takeHashes(anchor.path, 32, step),
  };
}

/* ---- payload --------------------------------------------------------------------------------- */

class Cursor {
  constructor(data, step) {
    this.data = data;
    this.at = 0;
    this.step = step;
  }

  take(size) {
    if (size > this.data.length - this.at) fail(this.step, "ends too early");
    this.at += size;
    return this.data.subarray(this.at - size, this.at);
  }

  number(size) {
    return Number(this.big(size));
  }

  big(size) {
    return this.take(size).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  }

  count() {
    const first = this.number(1);
    if (first < 0xfd) return first;
    const little = this.take(2 << (first - 0xfd)).toReversed();
    return Number(little.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n));
  }

  text(width, limit) {
    const size = this.number(width);
    if (size > limit) fail(this.step, "a text is too long");
    const data = this.take(size);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
    } catch {
      return fail(this.step, "a text is not UTF-8");
    }
  }

  end() {
    if (this.at !== this.data.length) fail(this.step, "bytes after the end");
  }
}

function readReceipt(data) {
  const step = "payload";
  const cursor = new Cursor(data, step);
  if (cursor.number(1) !== 1) fail(step, "unknown version of receipt");
  const custodian = cursor.take(32);
  const number = cursor.big(8);
  cursor.take(32);
  const atUnixMs = cursor.big(8);
  const mask = cursor.number(1);
  if (mask < 1 || mask > 7) fail(step, "not one to three parties");
  const labels = [0, 1, 2].map((n) => {
    if (!((mask >> n) & 1)) return "";
    cursor.take(32);
    return cursor.text(1, 200);
  });
  cursor.take(32);
  const purpose = cursor.text(1, 16);
  if (purpose === "" || /[^ -~]/.test(purpose)) fail(step, "not a purpose code");
  const action = ACTIONS[cursor.number(1)];
  const outcome = OUTCOMES[cursor.number(1)];
  if (!action || !outcome) fail(step, "unknown action or outcome");
  const directives = cursor.number(1);
  if (directives > 8) fail(step, "too many directives");
  cursor.take(24 * directives + 4 + 32);
  const count = cursor.number(4);
  cursor.take(4);
  if (outcome === "emergency") [0, 1, 2].forEach(() => cursor.text(2, 500));
  cursor.end();
  return { custodian, number, atUnixMs, labels, purpose, action, outcome, count };
}

/* ---- journal-path and checkpoint ------------------------------------------------------------- */

function readNote(note) {
  const step = "checkpoint";
  const found = NOTE.exec(note);
  if (!found) fail(step, "not a checkpoint with one signature");
  return {
    text: found[1],
    origin: found[2],
    size: BigInt(found[3]),
    root: unbase64(found[4], step),
    name: found[5],
    signature: unbase64(found[6], step),
  };
}

async function verifyJournalPath(path, leaf, index, head) {
  const step = "journal-path";
  if (index >= head.size) fail(step, "the leaf number is not below the tree size");
  let at = index;
  let last = head.size - 1n;
  let here = await sha256(bytes(0), leaf);
  for (const sibling of path) {
    if (last === 0n) fail(step, "the path is longer than the tree is deep");
    if (at & 1n || at === last) {
      here = await node(sibling, here);
      while (at && !(at & 1n)) {
        at >>= 1n;
        last >>= 1n;
      }
    } else {
      here = await node(here, sibling);
    }
    at >>= 1n;
    last >>= 1n;
  }
  if (last) fail(step, "the path is shorter than the tree is deep");
  if (!equal(here, head.root)) fail(step, "the path does not lead to the root");
}

async function verifyNote(head, custodian) {
  const step = "checkpoint";
  if (head.name !== head.origin) fail(step, "signed under another name than the journal's");
  const keyId = await sha256(utf8(`${head.name}\n`), bytes(1), custodian);
  if (!equal(head.signature.subarray(0, 4), keyId.subarray(0, 4))) {
    fail(step, "signed by another key than the receipt's custodian");
  }
  let held = false;
  try {
    const key = await crypto.subtle.importKey("raw", custodian, { name: "Ed25519" }, false, ["verify"]);
    held = await crypto.subtle.verify({ name: "Ed25519" }, key, head.signature.subarray(4), utf8(head.text));
  } catch (error) {
    if (error.name === "NotSupportedError") throw error;
  }
  if (!held) fail(step, "the signature does not hold");
}

/* ---- cell-value, cell-path, batch-record ------------------------------------------------------ */

async function verifyCellValue(proof, head) {
  const step = "cell-value";
  if ((proof.cell.rule & ~0x80) !== 2) fail(step, "not the cell of a journal");
  if (BigInt(proof.cell.size) !== head.size) fail(step, "the cell commits to a journal of another size");
  const payload = await tagged("hilum/checkpoint/v1", utf8(proof.checkpoint));
  return tagged("hilum/value/v1", proof.cell.salt, payload);
}

async function rootOfCell(cell, value) {
  const step = "cell-path";
  const listed = [];
  for (let level = 0; level < DEPTH; level += 1) if ((cell.levels >>> level) & 1) listed.push(level);
  if (listed.length !== cell.path.length) fail(step, "as many siblings as levels");
  const leaf = new Uint8Array(85);
  const view = new DataView(leaf.buffer);
  view.setUint32(0, cell.index);
  view.setUint8(4, cell.rule);
  leaf.set(cell.owner, 5);
  view.setUint32(37, cell.seq);
  view.setUint32(41, cell.until);
  view.setBigUint64(45, BigInt(cell.size));
  leaf.set(value, 53);
  let here = await sha256(bytes(0), leaf);
  let zero = new Uint8Array(32);
  let next = 0;
  for (let level = 0; level < DEPTH; level += 1) {
    let sibling = zero;
    if ((cell.levels >>> level) & 1) {
      sibling = cell.path[next];
      next += 1;
      if (equal(sibling, zero)) fail(step, "an empty subtree is left out, not listed");
    }
    here = (cell.index >>> level) & 1 ? await node(sibling, here) : await node(here, sibling);
    zero = await node(zero, zero);
  }
  return here;
}

function readRecord(record, stateRoot) {
  const mode = MODES[record[4]];
  if (!equal(record.subarray(0, 4), utf8("HLM1")) || record[5] !== 0 || !mode) {
    fail("batch-record", "not a record of this format");
  }
  if (!equal(record.subarray(14, 46), stateRoot)) {
    fail("cell-path", "the path does not lead to the batch's state root");
  }
  return { mode, number: new DataView(record.buffer, record.byteOffset).getUint32(6) };
}

/* ---- anchor, inclusion, headers --------------------------------------------------------------- */

async function readAnchor(transaction) {
  const step = "anchor";
  const cursor = new Cursor(transaction, step);
  cursor.take(4);
  const inputs = cursor.count();
  if (!inputs) fail(step, "a transaction without inputs, or with its witness");
  for (let n = 0; n < inputs; n += 1) {
    cursor.take(36);
    cursor.take(cursor.count());
    cursor.take(4);
  }
  const records = [];
  const outputs = cursor.count();
  for (let n = 0; n < outputs; n += 1) {
    cursor.take(8);
    const script = cursor.take(cursor.count());
    if (script[0] === 0x6a) records.push(script);
  }
  cursor.take(4);
  cursor.end();
  const [script] = records;
  if (records.length !== 1 || script.length !== 81 || script[1] !== 0x4c || script[2] !== 0x4e) {
    fail(step, "not exactly one OP_RETURN output of 78 bytes");
  }
  return { txid: await hash256(transaction), record: script.subarray(3) };
}

async function rootOfBranch(txid, branch, position) {
  const step = "inclusion";
  let index = BigInt(position);
  if (index >> BigInt(branch.length)) fail(step, "the position lies outside the block");
  let here = txid;
  for (const sibling of branch) {
    if (index & 1n) {
      if (equal(sibling, here)) fail(step, "the position lies outside the block");
      here = await hash256(concat(sibling, here));
    } else {
      here = await hash256(concat(here, sibling));
    }
    index >>= 1n;
  }
  return here;
}

function readHeaders(text) {
  const step = "headers";
  const value = takeObject(
    parseCanonical(text, step, Number.MAX_SAFE_INTEGER), "format,headers,network,tip", step,
  );
  if (typeof value.network !== "string" || value.network.length > 16) fail(step, "not a text, or too long");
  const raw = takeHex(value.headers, null, step);
  const tip = takeHex(value.tip, 32, step);
  if (value.format !== "hilum-headers-1" || !Object.hasOwn(NETWORKS, value.network)) {
    fail(step, "unknown format or network");
  }
  if (raw.length % 80) fail(step, "headers are 80 bytes each");
  const header = (height) => raw.subarray(80 * height, 80 * height + 80);
  return { network: value.network, tip, count: raw.length / 80, header };
}

async function verifyHeaders(chain) {
  const step = "headers";
  const network = NETWORKS[chain.network];
  const limit = expand(network.bits);
  let work = 0n;
  let previous = new Uint8Array(32);
  for (let height = 0; height < chain.count; height += 1) {
    const header = chain.header(height);
    const found = await hash256(header);
    if (height === 0 && hex(found.toReversed()) !== network.genesis) {
      fail(step, "they do not begin at the network's first block");
    }
    if (!equal(header.subarray(4, 36), previous)) {
      fail(step, `header ${height} does not follow the one before`);
    }
    const bits = new DataView(header.buffer, header.byteOffset).getUint32(72, true);
    const target = expand(bits);
    if (bits & 0x800000 || target <= 0n || target > limit) {
      fail(step, "a target that the network does not allow");
    }
    if (BigInt(`0x${hex(found.toReversed())}`) > target) {
      fail(step, `header ${height} lacks its proof of work`);
    }
    work += (1n << 256n) / (target + 1n);
    previous = found;
  }
  if (!equal(previous, chain.tip)) fail(step, "the tip is not the last header");
  if (work < network.work) fail(step, "less work than the network is known to have");
}

function expand(bits) {
  const size = bits >>> 24;
  const mantissa = BigInt(bits & 0xffffff);
  return size >= 3 ? mantissa << BigInt(8 * (size - 3)) : mantissa >> BigInt(8 * (3 - size));
}

/* ---- bytes and hashes ------------------------------------------------------------------------- */

function utf8(text) {
  return new TextEncoder().encode(text);
}

function bytes(...values) {
  return Uint8Array.from(values);
}

function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function equal(one, two) {
  return one.length === two.length && one.every((byte, at) => byte === two[at]);
}

function hex(data) {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function unbase64(text, step) {
  const data = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  if (btoa(String.fromCharCode(...data)) !== text) fail(step, "not the canonical base64 of its bytes");
  return data;
}

async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...parts)));
}

async function hash256(data) {
  return sha256(await sha256(data));
}

async function node(left, right) {
  return sha256(bytes(1), left, right);
}

async function tagged(tag, ...parts) {
  const digest = await sha256(utf8(tag));
  return sha256(digest, digest, ...parts);
}
