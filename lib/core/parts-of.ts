import type { KeyParts } from './types.js';

/** On every prototype with decorated methods: the key parts a call of one of them has. Registered, for both copies of the package. */
export const PARTS_OF = Symbol.for('nestjs-llm-cache:parts-of');

/** @returns `undefined` when the method is not decorated. */
export type PartsOf = (property: string | symbol, args: unknown[]) => KeyParts | undefined;
