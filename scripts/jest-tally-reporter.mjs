// Leaves Jest's own totals where .ci/run reads them: node_modules/.cache/test-tally.json.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';

export default class TallyReporter {
  onRunComplete(_contexts, results) {
    const folder = new URL('../node_modules/.cache/', import.meta.url);
    const tally = {
      passed: results.numPassedTests,
      // A suite that could not even load has no failed tests; it counts as one failure.
      failed: results.numFailedTests + results.numRuntimeErrorTestSuites,
      skipped: results.numPendingTests + results.numTodoTests,
    };
    mkdirSync(folder, { recursive: true });
    const file = new URL('test-tally.json', folder);
    rmSync(file, { force: true }); // it may be a hard link of another copy's
    writeFileSync(file, `${JSON.stringify(tally)}\n`);
  }
}
