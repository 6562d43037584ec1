/** Something that others wait for, and that may wait for others itself. Asked before a wait, so that none ever closes a circle. */
export class WaitNode {
  private readonly waitsFor = new Set<WaitNode>();

  /** Whether waiting for this means waiting, through any number of others, for `other`. */
  dependsOn(other: WaitNode, seen = new Set<WaitNode>()): boolean {
    if (this === other) return true;
    seen.add(this);
    return [...this.waitsFor].some((next) => !seen.has(next) && next.dependsOn(other, seen));
  }

  /** Records that this waits for `other` while `wait` runs. */
  async whileWaitingFor<T>(other: WaitNode, wait: () => Promise<T>): Promise<T> {
    this.waitsFor.add(other);
    try {
      return await wait();
    } finally {
      this.waitsFor.delete(other);
    }
  }
}
