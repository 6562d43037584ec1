import { describe, expect, it } from '@jest/globals';
import { BUILT_IN_ENTITIES, DEFAULT_ENTITIES, builtInDetector, detectBuiltIn } from '../../../../lib/redaction/detectors/built-in-detectors.js';
import type { PiiType } from '../../../../lib/core/pii.js';

/** What is found in a text, as `TYPE value`. */
const found = (text: string, entities: Iterable<PiiType> = BUILT_IN_ENTITIES): string[] =>
  detectBuiltIn(text, entities).map(({ type, start, end }) => `${type} ${text.slice(start, end)}`);

const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U';
const pem = '-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEexample+/=\n-----END EC PRIVATE KEY-----';
const letters = (count: number): string => 'aB3x'.repeat(count / 4);

const whole: Record<string, string[]> = {
  EMAIL: ['üser@exämple.de', 'a_b@example.museum', "o'neil@example.ie", 'иван@пример.рф', '_x@example.com'],
  CREDIT_CARD: [
    '4111 1111 1111 1111', '4111-1111-1111-1111', '4111\u00a01111\u00a01111\u00a01111', '378282246310005', '3782 822463 10005', '4131034282458809939',
    '4131 0342 8245 8809 939', '30569309025904', '3056 930902 5904', '4222222222222', '213176828496175', '6304000000000000', '501864667909',
  ],
  IBAN: ['GB82 WEST 1234 5698 7654 32', 'gb82west12345698765432', 'GB82-WEST-1234-5698-7654-32', 'NO9386011117947', 'MT84MALT011000012345MTLCAST001S'],
  SSN: ['078-05-1120', '078\u201105\u20111120', '899-99-9999'],
  PHONE: [
    '+44 20 7946 0958', '+1-202-555-0172x33', '(555) 867-5309 x12', '555.867.5309', '1 800 555 0199', '0044 20 7946 0958', '06 39 98 12 34', '0152 28817386',
    '+49 (0) 30 / 23125 14', '(+44) 20 7946 0958', '+(44) 20 7946 0958', '030/2312514', '(11) 95550-1420', '8 (495) 555-01-42', '+3545550142', '(0)20 7946 0958',
  ],
  IP: ['10.1.2.3', '2001:db8::1', 'fe80::1', '2001:db8:85a3:8d3:1319:8a2e:370:7348', '::ffff:203.0.113.7'],
  SECRET: [
    `sk-proj-${letters(40)}`, `sk-${letters(48)}`, 'AKIAIOSFODNN7EXAMPLE', jwt, pem, pem.replaceAll('\n', '\\n'), `ghp_${letters(36)}`, `xoxb-${letters(24)}`,
    `hf_${letters(36)}`, `npm_${letters(36)}`, `SG.${letters(20)}.${letters(40)}`, `glpat-${letters(20)}`, `AIza${letters(32)}abc`, `12345678:AA${letters(32)}x`,
  ],
};

const inside: Array<[text: string, expected: string[]]> = [
  ['mail a.b+tag@example.co.uk.', ['EMAIL a.b+tag@example.co.uk']],
  ['(a@b.com)', ['EMAIL a@b.com']],
  ['<a@b.com>', ['EMAIL a@b.com']],
  ['a@b.com?', ['EMAIL a@b.com']],
  ["'a@b.com'", ['EMAIL a@b.com']],
  ['a@example.com.123', ['EMAIL a@example.com']],
  ['联系a@example.com谢谢', ['EMAIL a@example.com']],
  ['GB82 WEST 1234 5698 7654 32 is mine', ['IBAN GB82 WEST 1234 5698 7654 32']],
  ['4111 1111 1111 1111 5500 0000 0000 0004', ['CREDIT_CARD 4111 1111 1111 1111', 'CREDIT_CARD 5500 0000 0000 0004']],
  ['card_no=4111111111111111&x', ['CREDIT_CARD 4111111111111111']],
  ['call me at 5558675309', ['PHONE 5558675309']],
  ['{"phone":"5558675309"}', ['PHONE 5558675309']],
  ['They are not answering at 467 0139', ['PHONE 467 0139']],
  ['Phone:\n60-55-01-42', ['PHONE 60-55-01-42']],
  ['Phones: 467 0139, 467 0140', ['PHONE 467 0139', 'PHONE 467 0140']],
  ['467 0139 is my mobile.', ['PHONE 467 0139']],
  ['467 0139 keeps calling', ['PHONE 467 0139']],
  ['call 0490 75 40 81 or 0494 92 82 32', ['PHONE 0490 75 40 81', 'PHONE 0494 92 82 32']],
  ['call 555-867-5309 2024-05-12', ['PHONE 555-867-5309']],
  ['call +44 7700 900123 abc', ['PHONE +44 7700 900123']],
  ['Whose number is this: 467 0139?', ['PHONE 467 0139']],
  ['Add 467 0139 as my contact phone', ['PHONE 467 0139']],
  ['ssn 078051120', ['SSN 078051120']],
  ['SSN: 078 05 1120', ['SSN 078 05 1120']],
  ['postgres://u:p4ss@h/db', ['SECRET p4ss']],
  ['postgres://user:p@ss@db.example.com/x', ['SECRET p@ss']],
  [`Authorization: Bearer ${jwt}`, [`SECRET ${jwt}`]],
  ['Bearer 0123456789abcdef.', ['SECRET 0123456789abcdef']],
  ['api_key = "0123456789abcdefg"', ['SECRET 0123456789abcdefg']],
  ['PASSWORD=hunter2x!', ['SECRET hunter2x!']],
  ['-----BEGIN PRIVATE KEY-----\nMIIEabc\nabcd', ['SECRET -----BEGIN PRIVATE KEY-----\nMIIEabc\nabcd']],
  ['http://203.0.113.7:8080/', ['IP 203.0.113.7']],
  ['203.0.113.7/24', ['IP 203.0.113.7']],
  ['10.0.0.1-10.0.0.9', ['IP 10.0.0.1', 'IP 10.0.0.9']],
];

const nothing = [
  'npm i react@18.2.0 @types/node@20', 'logo@2x.png', 'git@github.com:o/r.git', 'deploy@host.example:/srv/x', '@Injectable()', 'q@k.transpose(0, 1)', 'user@localhost', 'a.@example.com',
  '4111 1111 1111 1112', '4111111111111111.25', '14111111111111111234', '1111111111111111', '00000000-0000-0000-0000-000000000000', '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  '12345678-4111-1111-1111-111111111111', 'GB82 WEST 1234 5698 7654 33', 'GB82WEST123456987654320', 'ZZ82WEST12345698765432',
  '000-12-3456', '666-12-3456', '900-12-3456', '123-00-4567', '123-45-0000', '123 - 45 - 6789 =', '123-45.6789', '123 45 6789', '1-123-45-6789',
  '2026-11-23T03:36:08.123Z', '1732332968123', '1.2.3-beta', 'pi = 3.14159265358979', '05.12.2024 10:30', '0.0.4 / 2012-06-17', '1 408 280 000', 'order number 123-456-7890', 'id=0490-75-40-81',
  '377 610 987 1597', '01 02 03 04 05', 'dial(1000000)', 'Answer: 1234567890', 'reach 12 345 678 users', 'We called 12 345 678 customers', '1234567 phone calls', '521 (7553) 436-444', '+999 123 456 789', '+447700900123abc', 'x+447700900123', 'The number 12 345 678 is even', 'the number 1234567', 'the invoice number 467 0139', 'a phone with 12 345 678 pixels', '+1 123 456 7890', '1+447700900123',
  'Chrome/121.0.6167.184', 'v10.0.19041.1', 'std::chrono', 'a::b', '::1', '127.0.0.1', '10.0.0.0/8', '255.255.255.0', 'section 4.3.2.1', '1.2.3.4.5', '00:1A:2B:3C:4D:5E:66:77', '1:2:3:4:5:6:7:8', '256.1.1.1', '010.1.1.1',
  'password: string', 'password: Uint8Array', 'apiKey: process.env.OPENAI_API_KEY', 'token:t.tokens.length-1', 'postgres://u:${PASSWORD}@h/db', 'http://localhost:3000/@x', 'sk-folding-cube-container-large-item', 'max_tokens=2048',
  'next_page_token=CAUQAAabc123def456', 'primary_key: 0123456789abcdef0', '-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----', 'Bearer responsibilities', `_sk-${letters(48)}`,
];

describe('the built-in detectors find', () => {
  it.each(Object.entries(whole).flatMap(([type, values]) => values.map((value) => [type, value] as const)))('%s %s, whole', (type, value) => {
    expect(found(value)).toEqual([`${type} ${value}`]);
    expect(found(`It is ${value}, I think`)).toEqual([`${type} ${value}`]);
  });

  it.each(inside)('what they should in %j', (text, expected) => expect(found(text)).toEqual(expected));

  it.each(nothing)('nothing in %j', (text) => expect(found(text)).toEqual([]));
});

describe('the built-in detectors', () => {
  it('look for what they are asked for', () => {
    const text = 'a@example.com 4111111111111111 10.1.2.3';
    expect(found(text, [])).toEqual([]);
    expect(found(text, ['IP', 'PASSPORT'])).toEqual(['IP 10.1.2.3']);
    expect(found(text, DEFAULT_ENTITIES)).toEqual(['EMAIL a@example.com', 'CREDIT_CARD 4111111111111111']);
    expect(DEFAULT_ENTITIES).not.toContain('IP');
  });

  it('are one detector, whose version names the entities in one order', () => {
    expect(builtInDetector()).toMatchObject({ id: 'built-in', version: '1 EMAIL PHONE CREDIT_CARD IBAN SSN SECRET' });
    expect(builtInDetector(['IP', 'EMAIL', 'EMAIL']).version).toBe(builtInDetector(['EMAIL', 'IP']).version);
    expect(builtInDetector(new Set(['IP'])).detect('10.1.2.3 a@example.com')).toEqual([{ start: 0, end: 8, type: 'IP' }]);
  });

  it('keep no state between calls', () => {
    const text = `a@example.com +44 20 7946 0958 ext 5 ${jwt} postgres://u:p4ss@h/db ${pem}`;
    const first = found(text);
    expect(first).toHaveLength(5);
    expect(found(`\n${text}`)).toHaveLength(5);
    expect(found(text)).toEqual(first);
  });
});
