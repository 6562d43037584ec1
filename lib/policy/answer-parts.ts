import { isRecord } from '../core/check-options.js';
import type { LlmUsage } from '../core/types.js';

/** Small readers that the shapes of answers share. None of them throws on a wrong type. */

export function isText(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '';
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}

export function recordOf(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

/** What is in a message beside its answer: thinking, a refusal, and what a provider's own tools were asked and found. */
const NO_ANSWER = /^(refusal|thinking|redacted_thinking|reasoning|source|server_tool_(use|call|call_result)|.*tool[-_]result|tool-error)$/;

/** A content part that answers: text that is not blank, a tool call, a medium, or what is not known yet. */
export function isSubstance(part: unknown): boolean {
  if (!isRecord(part)) return isText(part);
  const { type } = part;
  if (typeof type === 'string' && NO_ANSWER.test(type)) return false;
  if (part['providerExecuted'] === true) return false;
  return 'text' in part ? isText(part['text']) : true;
}

/** Content as a text or as parts. */
export function saysSomething(content: unknown): boolean {
  return Array.isArray(content) ? content.some(isSubstance) : isText(content);
}

/** Tokens; 0 for what is no count. */
export function count(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0;
}

/** @param total as the provider reported it; the sum of the two where it did not. */
export function usageOf(inputTokens: number, outputTokens: number, total: unknown): LlmUsage {
  return { inputTokens, outputTokens, totalTokens: count(total) || inputTokens + outputTokens };
}

export function sumOfUsage(usages: ReadonlyArray<LlmUsage | undefined>): LlmUsage | undefined {
  const sum = { inputTokens: 0, outputTokens: 0, totalTokens: 0 };
  const known = usages.filter((usage) => usage !== undefined);
  for (const usage of known) {
    sum.inputTokens += usage.inputTokens;
    sum.outputTokens += usage.outputTokens;
    sum.totalTokens += usage.totalTokens;
  }
  return known.length === 0 ? undefined : sum;
}
