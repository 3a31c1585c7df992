/* The check of a receipt in the reader's own browser: fetches proof and headers, shows every step. */
import { STEPS, verifyProof } from "./verify.mjs";

const place = document.querySelector("[data-check]");
const run = place.querySelector("[data-run]");
const note = (name) => place.querySelector(`[data-${name}]`);

run.hidden = false;
run.addEventListener("click", async () => {
  run.disabled = true;
  for (const name of ["good", "bad", "broke"]) note(name).hidden = true;
  try {
    const [proof, headers] = await Promise.all([load(place.dataset.proof), load(place.dataset.headers)]);
    const verdict = await verifyProof(proof, headers);
    show(verdict);
  } catch (error) {
    note("broke").textContent = `${place.dataset.broken} (${error.message})`;
    note("broke").hidden = false;
  }
  run.disabled = false;
});

async function load(address) {
  const answer = await fetch(address, { cache: "no-store", credentials: "same-origin" });
  if (!answer.ok) throw new Error(String(answer.status));
  return new Uint8Array(await answer.arrayBuffer());
}

function show(verdict) {
  note(verdict.ok ? "good" : "bad").hidden = false;
  note("details").open = true;
  const failed = verdict.ok ? STEPS.length : STEPS.indexOf(verdict.failedStep);
  for (const item of place.querySelectorAll("[data-step]")) {
    const state = stateOf(STEPS.indexOf(item.dataset.step), failed);
    item.className = state;
    item.querySelector("[data-state]").textContent =
      state === "holds" ? place.dataset.passed : state === "fails" ? place.dataset.failed : place.dataset.open;
  }
}

/* Headers are read before the block's path is walked, so a failure there leaves the path unchecked. */
function stateOf(index, failed) {
  if (index === failed) return "fails";
  const open = index > failed || (failed === STEPS.indexOf("headers") && index === STEPS.indexOf("inclusion"));
  return open ? "open" : "holds";
}
