import { describe, expect, it } from '@jest/globals';
import { Permit } from '../../../lib/engine/permit.js';
import { REMOVAL_REMEMBERED_MS } from '../../../lib/stores/coordination.js';
import { FakeClock } from '../../../lib/testing/index.js';

describe('a permit to store without a lease', () => {
  it('names the last removal, for as long as the store remembers the next one', () => {
    const clock = new FakeClock();
    const permit = new Permit(clock, 'removal');
    clock.advance(REMOVAL_REMEMBERED_MS - 1);
    expect(permit.removal).toBe('removal');
    clock.advance(1);
    expect(permit.removal).toBeUndefined();
  });
});
