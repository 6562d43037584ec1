/** Of a text up to this length it is remembered that nothing was found in it. */
const LONGEST = 4_096;
/** Characters remembered before the older half is forgotten. */
const MOST = 512 * 1024;

/**
 * Texts in which nothing was found: system prompts and tool schemas come with every request. Two generations, of which
 * the older one is forgotten when the younger one is full. Held in memory only, and no text with a finding is among them.
 */
export class CleanTexts {
  private young = new Set<string>();
  private old = new Set<string>();
  private characters = 0;

  has(text: string): boolean {
    return this.young.has(text) || this.old.has(text);
  }

  add(text: string): void {
    if (text.length > LONGEST) return;
    if (this.characters + text.length > MOST) {
      this.old = this.young;
      this.young = new Set();
      this.characters = 0;
    }
    this.young.add(text);
    this.characters += text.length;
  }
}
