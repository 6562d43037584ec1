import { BadGatewayException } from '@nestjs/common';

export const PRIORITIES = ['low', 'normal', 'high'] as const;
export const CATEGORIES = ['billing', 'login', 'outage', 'other'] as const;

export interface Triage {
  priority: (typeof PRIORITIES)[number];
  category: (typeof CATEGORIES)[number];
  needsHuman: boolean;
}

/** @throws BadGatewayException when the LLM answered anything but a triage. */
export function parseTriage(answer: string): Triage {
  const { priority, category, needsHuman } = parseObject(answer);
  if (isOneOf(PRIORITIES, priority) && isOneOf(CATEGORIES, category) && typeof needsHuman === 'boolean') {
    return { priority, category, needsHuman };
  }
  throw new BadGatewayException('The LLM did not answer with a triage.');
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function isOneOf<T>(allowed: readonly T[], value: unknown): value is T {
  return allowed.includes(value as T);
}
