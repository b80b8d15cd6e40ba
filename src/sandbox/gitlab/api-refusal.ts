import {jsonReply, type Reply} from '../reply.ts';

/** An API call that GitLab refuses: thrown by whoever finds out, answered in one place. */
export class ApiRefusal extends Error {
  override readonly name = 'ApiRefusal';
  readonly reply: Reply;

  /** @param body as GitLab writes it: a `message` that is a string or an object of lists, or an `error` */
  constructor(status: number, body: object, headers: Reply['headers'] = {}) {
    super(JSON.stringify(body));
    this.reply = jsonReply(status, body, headers);
  }
}

/** `404 Project Not Found` and the like (GitLab: lib/api/helpers.rb, `not_found!`). */
export function notFound(what?: string): ApiRefusal {
  return new ApiRefusal(404, {
    message: what === undefined ? '404 Not found' : `404 ${what} Not Found`,
  });
}

export function forbidden(why?: string): ApiRefusal {
  return new ApiRefusal(403, {
    message: why === undefined ? '403 Forbidden' : `403 Forbidden - ${why}`,
  });
}

export function unauthorized(): ApiRefusal {
  return new ApiRefusal(401, {message: '401 Unauthorized'});
}

/** A refusal with a text of its own. */
export function badRequest(message: unknown): ApiRefusal {
  return new ApiRefusal(400, {message});
}
