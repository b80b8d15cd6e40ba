import type {Digest} from '../model/digest.ts';
import type {Side} from '../model/error.ts';
import type {Call} from '../model/port.ts';
import {type EntryTable, tabulate} from './layout-entries.ts';
import type {IndexEntry} from './layout-index.ts';
import {layoutPath} from './oci-layout.ts';
import {type PlaceFiles, StoredRepository} from './stored-repository.ts';

/** An OCI image layout in files that do not change, as in an archive. */
export class ArchivedLayout extends StoredRepository {
  readonly #table: EntryTable;

  constructor(
    options: {readonly name: string; readonly side: Side; readonly files: PlaceFiles},
    entries: readonly IndexEntry[],
  ) {
    super(options);
    this.#table = tabulate(entries);
  }

  async listTags(call: Call): Promise<readonly string[]> {
    return (await this.entries(call)).names;
  }

  async listUnnamed(call: Call): Promise<readonly Digest[]> {
    return (await this.entries(call)).unnamed;
  }

  protected entries(call: Call): Promise<EntryTable> {
    call.signal.throwIfAborted();
    return Promise.resolve(this.#table);
  }

  protected blobPath(digest: Digest): string {
    return layoutPath(digest);
  }

  protected manifestPath(digest: Digest): string {
    return layoutPath(digest);
  }
}
