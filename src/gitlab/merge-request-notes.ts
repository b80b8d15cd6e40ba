import type {Call} from '../model/port.ts';
import {z} from '../model/schema.ts';
import type {Account} from './account.ts';
import {apiPath, type Connection} from './connection.ts';

/** A merge request of a project, by the project's ID or full path. */
export interface MergeRequest {
  readonly project: string;
  readonly iid: number;
}

const noteSchema = z.object({
  id: z.int(),
  body: z.string(),
  system: z.boolean().nullish(),
  author: z.object({id: z.int()}).nullish(),
});

type Note = z.infer<typeof noteSchema>;

/** Comments on merge requests (GitLab: doc/api/notes.md). A job's token has no access to them. */
export class MergeRequestNotes {
  readonly #connection: Connection;
  readonly #account: Account;

  constructor(connection: Connection, account: Account) {
    this.#connection = connection;
    this.#account = account;
  }

  /**
   * Makes `body` the one note of the token's user that has `mark` in it: changes the one there is, or writes it. Of
   * jobs that do this at the same time, the note that was written first stays.
   * @throws TransshipError what the token may not do: UNAUTHORIZED, FORBIDDEN, TOKEN_SCOPE_MISSING, GITLAB_REFUSED
   */
  async put(
    request: MergeRequest,
    {mark, body}: {readonly mark: string; readonly body: string},
    call: Call,
  ): Promise<'written' | 'changed' | 'unchanged'> {
    const author = (await this.#account.user(call)).id;
    const own = async (): Promise<readonly Note[]> =>
      (await this.#all(request, call)).filter(
        (note) => note.system !== true && note.author?.id === author && note.body.includes(mark),
      );
    const [before] = await own();
    if (before !== undefined) return await this.#change(request, before, body, call);
    await this.#connection.send({
      method: 'POST',
      path: notesPath(request),
      body: {body},
      signal: call.signal,
    });
    const [first, ...others] = await own();
    for (const {id} of others) {
      const path = `${notesPath(request)}/${id}`;
      await this.#connection.remove({method: 'DELETE', path, signal: call.signal});
    }
    if (first !== undefined) await this.#change(request, first, body, call);
    return 'written';
  }

  async #change(
    request: MergeRequest,
    note: Note,
    body: string,
    {signal}: Call,
  ): Promise<'changed' | 'unchanged'> {
    if (note.body === body) return 'unchanged';
    const path = `${notesPath(request)}/${note.id}`;
    await this.#connection.send({method: 'PUT', path, body: {body}, signal});
    return 'changed';
  }

  /** The oldest first. */
  async #all(request: MergeRequest, {signal}: Call): Promise<readonly Note[]> {
    const query = {sort: 'asc', order_by: 'created_at'};
    const notes = await this.#connection.list(
      {path: notesPath(request), query, signal},
      noteSchema,
    );
    return notes.toSorted((a, b) => a.id - b.id);
  }
}

function notesPath({project, iid}: MergeRequest): string {
  return apiPath`projects/${project}/merge_requests/${iid}/notes`;
}
