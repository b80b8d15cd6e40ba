import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {pathToFileURL} from 'node:url';
import {needTool} from './debian-tool.ts';
import {cleanEnvironment} from './program.ts';
import {tempDirectory} from './temp.ts';

/** A page in a headless Chromium, through the protocol of its developer tools. */
export interface Page extends AsyncDisposable {
  /** Calls a method of the protocol (chromedevtools.github.io/devtools-protocol). */
  readonly call: (method: string, params?: object) => Promise<Record<string, unknown>>;
  /** The value of an expression in the page. */
  readonly evaluate: (expression: string) => Promise<unknown>;
  readonly look: (width: number, scheme: 'light' | 'dark') => Promise<void>;
  /** The page as it is seen, or a part from its top: PNG. */
  readonly screenshot: (height: number) => Promise<Buffer>;
  readonly press: (key: 'Tab' | 'Enter' | 'Space') => Promise<void>;
  readonly type: (text: string) => Promise<void>;
  /** Requests and errors of the page since it was opened. */
  readonly requests: readonly string[];
  readonly errors: readonly string[];
}

const KEYS = {
  Tab: {key: 'Tab', code: 'Tab', windowsVirtualKeyCode: 9},
  Enter: {key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13, text: '\r'},
  Space: {key: ' ', code: 'Space', windowsVirtualKeyCode: 32, text: ' '},
};

/** Opens a file. */
export async function openPage(file: string): Promise<Page> {
  const stack = new AsyncDisposableStack();
  const profile = stack.use(await tempDirectory());
  const program = spawn(
    await needTool('chromium'),
    [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-dev-shm-usage',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile.join('profile')}`,
      'about:blank',
    ],
    {env: {...cleanEnvironment(), HOME: profile.path}, stdio: ['ignore', 'ignore', 'pipe']},
  );
  stack.defer(async () => {
    const exited = once(program, 'exit');
    program.kill('SIGKILL');
    await exited;
  });
  const address = await listening(program.stderr);
  const {webSocketDebuggerUrl} = await firstPage(new URL(address).host);
  const socket = new WebSocket(webSocketDebuggerUrl);
  stack.defer(() => socket.close());
  await once(socket, 'open');
  const waiting = new Map<number, (answer: Message) => void>();
  const requests: string[] = [];
  const errors: string[] = [];
  let loaded: (() => void) | undefined;
  socket.addEventListener('message', ({data}) => {
    const message = JSON.parse(String(data)) as Message;
    if (message.id !== undefined) waiting.get(message.id)?.(message);
    if (message.method === 'Network.requestWillBeSent') requests.push(urlOf(message));
    if (isProblem(message)) errors.push(JSON.stringify(message.params));
    if (message.method === 'Page.loadEventFired') loaded?.();
  });
  let last = 0;
  const call: Page['call'] = async (method, params = {}) => {
    last += 1;
    const id = last;
    const answer = new Promise<Message>((resolve) => waiting.set(id, resolve));
    socket.send(JSON.stringify({id, method, params}));
    const {result, error} = await answer;
    waiting.delete(id);
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  };
  for (const domain of ['Page', 'Runtime', 'Network', 'Log', 'Accessibility'])
    await call(`${domain}.enable`);
  const isLoaded = new Promise<void>((resolve) => {
    loaded = resolve;
  });
  await call('Page.navigate', {url: pathToFileURL(file).href});
  await isLoaded;
  return {
    call,
    requests,
    errors,
    evaluate: async (expression) => {
      const {result, exceptionDetails} = await call('Runtime.evaluate', {
        expression,
        awaitPromise: true,
        returnByValue: true,
      });
      if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
      return (result as {readonly value?: unknown}).value;
    },
    look: async (width, scheme) => {
      const media = {name: 'prefers-color-scheme', value: scheme};
      await call('Emulation.setEmulatedMedia', {features: [media]});
      const screen = {width, height: 900, deviceScaleFactor: 1, mobile: width < 600};
      await call('Emulation.setDeviceMetricsOverride', screen);
    },
    screenshot: async (height) => {
      const {cssContentSize} = await call('Page.getLayoutMetrics');
      const {width, height: whole} = cssContentSize as {width: number; height: number};
      const clip = {x: 0, y: 0, width, height: Math.min(height, whole), scale: 1};
      const {data} = await call('Page.captureScreenshot', {clip, captureBeyondViewport: true});
      return Buffer.from(String(data), 'base64');
    },
    press: async (key) => {
      await call('Input.dispatchKeyEvent', {type: 'keyDown', ...KEYS[key]});
      await call('Input.dispatchKeyEvent', {type: 'keyUp', ...KEYS[key]});
    },
    type: async (text) => {
      await call('Input.insertText', {text});
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

function isProblem({method, params = {}}: Message): boolean {
  const {level} = (params['entry'] ?? {}) as {readonly level?: string};
  return (
    (method === 'Log.entryAdded' && level !== 'verbose') || method === 'Runtime.exceptionThrown'
  );
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Record<string, unknown>;
  readonly error?: {readonly message: string};
}

function urlOf({params = {}}: Message): string {
  return (params['request'] as {readonly url: string}).url;
}

/** The address that the program says it listens at. */
async function listening(stderr: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const piece of stderr) {
    text += String(piece);
    const address = /DevTools listening on (\S+)/.exec(text)?.[1];
    if (address !== undefined) {
      stderr.resume();
      return address;
    }
  }
  throw new Error(`chromium ended: ${text}`);
}

async function firstPage(host: string): Promise<{readonly webSocketDebuggerUrl: string}> {
  const answer = await fetch(`http://${host}/json/list`);
  const pages = (await answer.json()) as {
    readonly type: string;
    readonly webSocketDebuggerUrl: string;
  }[];
  const page = pages.find(({type}) => type === 'page');
  if (page === undefined) throw new Error('chromium has no page');
  return page;
}
