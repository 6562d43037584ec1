import { dim, printTitle } from './print.mjs';

const canRedraw = process.stdout.isTTY;
const LABEL = 17;

/** A line for each caller, that grows with what it has been told. Where lines cannot be drawn again there are none. */
export function openScreen(title, callers) {
  printTitle(title);
  const texts = callers.map(() => '');
  const width = Math.max(20, (process.stdout.columns ?? 100) - LABEL - 4);
  let isDrawn = false;
  const draw = () => {
    if (!canRedraw) return;
    if (isDrawn) process.stdout.write(`\u001B[${callers.length}A`);
    isDrawn = true;
    for (const [index, caller] of callers.entries()) {
      process.stdout.write(`\u001B[2K   ${caller.padEnd(LABEL - 3)}${dim(tailOf(texts[index], width))}\n`);
    }
  };
  draw();
  return {
    show(index, text) {
      texts[index] = text;
      draw();
    },
    close() {
      if (canRedraw) process.stdout.write('\n');
    },
  };
}

/** The end of a text, which is what is new. */
function tailOf(text, width) {
  return text.length <= width ? text : `… ${text.slice(text.length - width + 2)}`;
}
