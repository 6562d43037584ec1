/** What went wrong with a redaction, in words of this package: they hold nothing of the text, and may be shown. */
export class RedactionFault extends Error {}
