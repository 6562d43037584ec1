import { describe, expect, it } from '@jest/globals';
import { LlmCacheConfigError } from '../../../lib/core/errors.js';
import { checkPiiOptions, piiOptions } from '../../../lib/redaction/pii-options.js';

const hook = (text: string): string => text;
const detector = { id: 'own', version: '1', detect: () => [] };
const redactor = { id: 'own', version: '1', redact: () => undefined };

describe('options about personal data', () => {
  it.each<[unknown]>([
    [undefined], [false], [{}], [{ mode: undefined }], [{ mode: 'bypass' }], [{ mode: 'redact' }], [{ mode: 'pseudonymize' }], [{ mode: 'redact-stored' }], [{ redactor: hook }], [{ redactor, mode: 'pseudonymize' }],
    [{ redactor: hook, mode: 'redact' }], [{ entities: [] }], [{ entities: ['EMAIL', 'IP'], detectors: [detector] }], [{ onResponsePii: 'store' }], [{ timeout: '1s' }], [{ timeout: 500 }],
  ])('may be %j', (options) => {
    expect(() => checkPiiOptions('Owner', options)).not.toThrow();
  });

  it.each<[unknown, string]>([
    [true, 'must be an object'], [[], 'must be an object'], ['redact', 'must be an object'], [{ mode: 'off' }, 'mode'], [{ mode: null }, 'mode'], [{ modes: 'redact' }, 'unknown option "pii.modes"'],
    [{ redactor: 'x' }, 'redactor'], [{ redactor: { ...redactor, version: '' } }, 'redactor'], [{ redactor: { id: 'x', version: '1' } }, 'redactor'], [{ entities: ['NAME'] }, 'entities'], [{ entities: 'EMAIL' }, 'entities'],
    [{ detectors: [hook] }, 'detectors'], [{ detectors: [{ ...detector, id: '' }] }, 'detectors'], [{ detectors: detector }, 'detectors'], [{ onResponsePii: 'keep' }, 'onResponsePii'], [{ timeout: 0 }, 'timeout'], [{ timeout: 'soon' }, 'timeout'],
    [{ redactor: hook, entities: ['EMAIL'] }, '"pii.entities"'], [{ redactor, detectors: [] }, '"pii.detectors"'], [{ redactor: hook, mode: 'pseudonymize' }, '"pii.mode"'],
  ])('may not be %j', (options, named) => {
    expect(() => checkPiiOptions('Owner', options)).toThrow(LlmCacheConfigError);
    expect(() => checkPiiOptions('Owner', options)).toThrow(named);
    expect(() => checkPiiOptions('Owner', options)).toThrow(/^Owner: /);
  });

  it.each([[false, true], [{}, true], [true, false], [null, false], ['redact', false]])('are an object or false: %j', (value, isOne) => {
    expect(piiOptions.test(value)).toBe(isOne);
  });
});
