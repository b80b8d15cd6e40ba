import {jsonReply, type Reply} from '../exchange.ts';
import {z} from '../../model/schema.ts';
import {type ApiCall, bodyOf, forbidden, notFound, pageReply, projectOf} from './api-call.ts';
import {ACCESS_LEVEL, levelInProject} from './rights.ts';
import type {WorldNote, WorldProject} from './world.ts';

/** GitLab: app/models/concerns/issuable.rb and app/models/note.rb, the limit of a description and of a note. */
const BODY_LIMIT = 1_000_000;

const bodySchema = z.object({body: z.string().min(1).max(BODY_LIMIT)});

/**
 * `GET /projects/:id/merge_requests/:iid/notes`: newest first, unless `sort` is `asc` (GitLab: doc/api/notes.md,
 * "List all merge request notes").
 */
export function listNotes(call: ApiCall): Reply {
  const {notes} = mergeRequestOf(call);
  const inOrder = call.query.get('sort') === 'asc' ? notes : notes.toReversed();
  return pageReply(
    call,
    inOrder.map((note) => view(call, note)),
  );
}

/** `POST /projects/:id/merge_requests/:iid/notes` */
export function createNote(call: ApiCall): Reply {
  const {world, person} = call;
  const {notes} = mergeRequestOf(call);
  const {body} = bodyOf(call, bodySchema);
  const note = {id: world.nextId(), authorId: person.user.id, body};
  notes.push(note);
  return jsonReply(201, view(call, note));
}

/** `PUT /projects/:id/merge_requests/:iid/notes/:note` */
export function updateNote(call: ApiCall): Reply {
  const note = ownNote(call);
  note.body = bodyOf(call, bodySchema).body;
  return jsonReply(200, view(call, note));
}

/** `DELETE /projects/:id/merge_requests/:iid/notes/:note` */
export function deleteNote(call: ApiCall): Reply {
  const note = ownNote(call);
  const {notes} = mergeRequestOf(call);
  notes.splice(notes.indexOf(note), 1);
  return {status: 204, headers: {}};
}

/**
 * A note that the caller may change: as its author or as a maintainer (GitLab: app/policies/note_policy.rb,
 * `admin_note`). @throws ApiRefusal 403, 404
 */
function ownNote(call: ApiCall): WorldNote {
  const {world, person, params} = call;
  const {notes, project} = mergeRequestOf(call);
  const note = notes.find(({id}) => id === Number(params['note']));
  if (!note) throw notFound('Note');
  const isAuthor = note.authorId === person.user.id;
  if (!isAuthor && levelInProject(world, person.user, project) < ACCESS_LEVEL.maintainer)
    throw forbidden();
  return note;
}

/**
 * The notes of a merge request. In a private project, guests cannot see it (GitLab: doc/user/permissions.md, "Merge
 * requests").
 * @throws ApiRefusal 404
 */
function mergeRequestOf(call: ApiCall): {
  readonly notes: WorldNote[];
  readonly project: WorldProject;
} {
  const {world, person, params} = call;
  const project = projectOf(call);
  const notes = project.mergeRequests.get(Number(params['iid']));
  const isOpen = project.visibility !== 'private';
  const mayRead = isOpen || levelInProject(world, person.user, project) >= ACCESS_LEVEL.planner;
  if (!notes || !mayRead) throw notFound();
  return {notes, project};
}

function view({world}: ApiCall, {id, authorId, body}: WorldNote): object {
  const {username = ''} = world.users.get(authorId) ?? {};
  return {id, body, author: {id: authorId, username}, system: false, noteable_type: 'MergeRequest'};
}
