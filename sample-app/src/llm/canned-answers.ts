const ANSWERS: Record<string, string> = {
  'Explain AI in one sentence.':
    'AI is software that learns patterns from examples and uses them to answer, predict and decide.',
  'What is the capital of Japan?': 'Tokyo.',
  'Tell me a short joke.': 'Why do programmers mix up Halloween and Christmas? Because Oct 31 equals Dec 25.',
  'How do I get a refund?':
    'Open "Orders", choose the order and press "Request a refund". We check it within two working days and write to you ' +
    'either way. The money goes back to the card or account you paid with, and is there three to five working days later. ' +
    'Orders older than thirty days need a word with our support team first; they answer on working days from nine to five.',
};

const REPLY_START = 'Thank you for writing to us, and sorry for the trouble. You say:';
const REPLY_REST =
  'We have looked at your account and see what you mean. A colleague takes care of it today, and you need not do ' +
  'anything until then. You will hear from us as soon as it is done, and by tomorrow noon at the latest. If anything ' +
  'else is wrong meanwhile, answer this message, and it will reach the same colleague. Kind regards, your support team.';

/** The answer of an LLM that is not there. */
export function cannedAnswer(system: string, user: string): string {
  if (system.startsWith('Summarize')) return `The customer writes: ${firstSentenceOf(user)}`;
  if (system.startsWith('Reply')) return `${REPLY_START} "${firstSentenceOf(user)}" ${REPLY_REST}`;
  if (system.startsWith('Triage')) return JSON.stringify(triageOf(user.toLowerCase()));
  const address = /^Where is my parcel\? Write to (\S+), please\.$/.exec(user)?.[1];
  if (address !== undefined) return `Your parcel left us this morning. We will write to ${address} as soon as it has arrived.`;
  return ANSWERS[user] ?? `This is a canned answer to "${firstSentenceOf(user)}"; a real LLM would know more.`;
}

function firstSentenceOf(text: string): string {
  return /^[^.!?\n]+[.!?]?/.exec(text)?.[0] ?? text;
}

function triageOf(ticket: string): { priority: string; category: string; needsHuman: boolean } {
  const has = (...words: string[]): boolean => words.some((word) => ticket.includes(word));
  if (has('down', 'crash', 'error 5')) return { priority: 'high', category: 'outage', needsHuman: true };
  if (has('charged', 'invoice', 'refund')) return { priority: 'high', category: 'billing', needsHuman: true };
  if (has('password', 'log in', 'login')) return { priority: 'normal', category: 'login', needsHuman: false };
  return { priority: 'low', category: 'other', needsHuman: false };
}
