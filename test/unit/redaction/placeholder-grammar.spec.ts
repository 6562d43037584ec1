import { describe, expect, it } from '@jest/globals';
import { Placeholders } from '../../../lib/redaction/placeholders.js';

describe('placeholders', () => {
  // A global pattern keeps the place of its last match, and whoever uses it next starts there.
  it('that nobody gave are seen, whatever another text had in it before', () => {
    const unresolved = 'See [[EMAIL_7]].';
    expect(new Placeholders().resolves(unresolved)).toBe(false);
    expect(new Placeholders().quote('print [[EMAIL_1]]', new Set())).toBe('print [[LITERAL_1]]');
    expect(new Placeholders().resolves(unresolved)).toBe(false);
  });
});
