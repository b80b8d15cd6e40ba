import {describe, expect, it} from 'vitest';
import {PushedBody} from '../../src/http/pushed-body.ts';

/** A connection that notes what is asked of it. */
function connection() {
  const asked: string[] = [];
  return {
    asked,
    source: {
      pause: () => void asked.push('pause'),
      resume: () => void asked.push('resume'),
      abort: () => void asked.push('abort'),
    },
  };
}

const bytes = (text: string) => Buffer.from(text);

async function allOf(body: PushedBody): Promise<string> {
  let text = '';
  for (let piece = await body.next(); piece.done !== true; piece = await body.next())
    text += Buffer.from(piece.value).toString();
  return text;
}

describe('PushedBody', () => {
  it('gives what came before it was asked for, and what comes later', async () => {
    const {asked, source} = connection();
    const body = new PushedBody(source);
    body.push(bytes('early '));
    const all = allOf(body);
    body.push(bytes('late'));
    body.end();
    expect(await all).toBe('early late');
    expect(asked).toEqual([]);
  });

  it('pauses the connection while it holds much, and resumes it once', async () => {
    const {asked, source} = connection();
    const body = new PushedBody(source);
    const piece = new Uint8Array(40 * 1024);
    body.push(piece);
    body.push(piece);
    expect(asked).toEqual(['pause']);
    await body.next();
    expect(asked).toEqual(['pause', 'resume']);
    await body.next();
    body.end();
    expect(await body.next()).toEqual({done: true, value: undefined});
    expect(asked).toEqual(['pause', 'resume']);
  });

  it('fails with what broke it, also a reader that waits', async () => {
    const body = new PushedBody(connection().source);
    const waiting = body.next();
    body.end(new Error('cut'));
    await expect(waiting).rejects.toThrow('cut');
    await expect(body.next()).rejects.toThrow('cut');
  });

  it('breaks a connection whose rest nobody wants, and none that gave all', async () => {
    const [cut, whole] = [connection(), connection()];
    const begun = new PushedBody(cut.source);
    begun.push(bytes('a'));
    await begun.return();
    begun.push(bytes('b'));
    expect(cut.asked).toEqual(['abort']);
    expect(await begun.next()).toEqual({done: true, value: undefined});

    const read = new PushedBody(whole.source);
    read.push(bytes('a'));
    read.end();
    await read.return();
    expect(whole.asked).toEqual([]);
  });
});
