/** The contracts, good and bad, that Python, C++, Kotlin and JavaScript take and refuse alike. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { readContract } from '../page/contract.js';
import { ContractError } from '../page/errors.js';

const TABLE = new URL('../../tests/export/runtime/contracts.json', import.meta.url);
const { bases, cases } = JSON.parse(readFileSync(TABLE, 'utf-8'));

/** @param {{name: string, text?: string, base: string, replace: [string, string][]}} entry */
function textOf(entry) {
  if (entry.text !== undefined) return entry.text;
  let text = bases[entry.base];
  for (const [old, made] of entry.replace) {
    assert.equal(text.split(old).length, 2, `${entry.name}: ${old}`);
    text = text.split(old).join(made);
  }
  return text;
}

for (const entry of cases) {
  // The page answers one of the two questions.
  const good = entry.good && JSON.parse(textOf(entry)).task === 'spoofing';
  test(`${good ? 'taken' : 'refused'}: ${entry.name}`, () => {
    const text = textOf(entry);
    if (good) readContract(text);
    else assert.throws(() => readContract(text), ContractError);
  });
}

test('the table has both kinds', () => {
  assert.ok(cases.some((/** @type {{good: boolean}} */ one) => one.good));
  assert.ok(cases.filter((/** @type {{good: boolean}} */ one) => !one.good).length > 20);
});

test('what is read', () => {
  const contract = readContract(bases['version 2']);
  assert.deepEqual(
    [contract.schemaVersion, contract.sampleRate, contract.numSamples, contract.hop],
    [2, 16000, 4000, 1500],
  );
  assert.equal(contract.decision.offset, -1.25);
  assert.equal(contract.guards?.minLevelDbfs, -60);
  assert.equal(readContract(bases['version 1']).guards, null);
});
