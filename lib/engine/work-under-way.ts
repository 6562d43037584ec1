/** The work that needs the stores. What goes on after `close` may open one of ours again; the last of it closes it. */
export class WorkUnderWay {
  private running = 0;
  private closed = false;

  constructor(private readonly closeStores: () => Promise<void>) {}

  get isClosed(): boolean {
    return this.closed;
  }

  readonly track = <T>(work: Promise<T>): Promise<T> => {
    this.running++;
    work.then(this.ended, this.ended); // who waits for the work hears of it after this
    return work;
  };

  private readonly ended = (): void => {
    if (--this.running === 0 && this.closed) void this.closeStores();
  };

  close(): Promise<void> {
    this.closed = true;
    return this.closeStores();
  }
}
