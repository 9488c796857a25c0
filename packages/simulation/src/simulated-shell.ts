/** What a command in a simulated container answers. */
export interface CommandResult {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
}

export interface ShellContext {
  readonly environment: ReadonlyMap<string, string>
  readonly hostname: string
  /** What the client typed or piped in; '' without. */
  readonly stdin: string
}

type Builtin = (args: readonly string[], context: ShellContext) => CommandResult

const NOT_FOUND = 127
/** Longest script that is looked at, characters. */
const SCRIPT_LENGTH_MAX = 65_536
const KNOWN = 'cat, echo, env, exit, false, hostname, printenv, pwd, sh, true'

const ok = (stdout: string): CommandResult => ({ stdout, stderr: '', exitCode: 0 })
const failed = (stderr: string, exitCode = 1): CommandResult => ({ stdout: '', stderr: `${stderr}\n`, exitCode })

const BUILTINS: Readonly<Record<string, Builtin>> = {
  echo: (args) => ok(args[0] === '-n' ? args.slice(1).join(' ') : `${args.join(' ')}\n`),
  env: (_, { environment }) => ok([...environment].map(([name, value]) => `${name}=${value}\n`).join('')),
  printenv: ([name], context) => {
    if (name === undefined) return BUILTINS['env']!([], context)
    const value = context.environment.get(name)
    return value === undefined ? { ...ok(''), exitCode: 1 } : ok(`${value}\n`)
  },
  hostname: (_, { hostname }) => ok(`${hostname}\n`),
  pwd: () => ok('/\n'),
  true: () => ok(''),
  ':': () => ok(''),
  false: () => ({ ...ok(''), exitCode: 1 }),
  exit: ([code]) => ({ ...ok(''), exitCode: Number(code ?? 0) & 255 }),
  cat: ([path], { stdin, hostname }) => {
    if (path === undefined || path === '-') return ok(stdin)
    return path === '/etc/hostname'
      ? ok(`${hostname}\n`)
      : failed(`cat: ${path}: this container is simulated and has no files`)
  },
  tar: () => failed('tar: this container is simulated and has no files: nothing can be copied to or from it'),
  sh: runShell,
}

/** Carries out a command as far as a container without processes can: a few built-ins, and `sh -c` with those. Pure. */
export function runSimulatedCommand(command: readonly string[], context: ShellContext): CommandResult {
  const [path = '', ...args] = command
  const name = path.slice(path.lastIndexOf('/') + 1)
  const builtin = Object.hasOwn(BUILTINS, name === 'bash' || name === 'ash' ? 'sh' : name)
    ? BUILTINS[name === 'bash' || name === 'ash' ? 'sh' : name]
    : undefined
  return (
    builtin?.(args, context) ??
    failed(`${path}: not found: this container is simulated and knows only ${KNOWN}`, NOT_FOUND)
  )
}

/** `sh -c SCRIPT`, or the script from standard input. */
function runShell(args: readonly string[], context: ShellContext): CommandResult {
  const at = args.findIndex((arg) => /^-[a-z]*c$/.test(arg))
  const script = (at === -1 ? context.stdin : (args[at + 1] ?? '')).slice(0, SCRIPT_LENGTH_MAX)
  return runScript(script, context)
}

/** Simple commands joined by `;`, `&&`, `||` and line ends; anything more is told to be too much. */
export function runScript(script: string, context: ShellContext): CommandResult {
  let stdout = ''
  let stderr = ''
  let exitCode = 0
  const environment = new Map(context.environment)
  for (const { joint, words } of parseScript(script, (name) =>
    name === '?' ? String(exitCode) : environment.get(name),
  )) {
    if ((joint === '&&' && exitCode !== 0) || (joint === '||' && exitCode === 0)) continue
    const [first = '', ...rest] = words()
    const assignment = /^([A-Za-z_]\w*)=(.*)$/s.exec(first)
    if (first === '' || (assignment !== null && rest.length === 0)) {
      if (assignment !== null) environment.set(assignment[1]!, assignment[2]!)
      exitCode = 0
      continue
    }
    const result = runSimulatedCommand([first, ...rest], { ...context, environment })
    stdout += result.stdout
    stderr += result.stderr
    exitCode = result.exitCode
    if (first === 'exit') break
  }
  return { stdout, stderr, exitCode }
}

interface Step {
  readonly joint: ';' | '&&' | '||'
  /** Expanded when it is run, so that it sees what went before. */
  readonly words: () => readonly string[]
}

const TOKEN = /\s*(?:(\n|;|&&|\|\|)|((?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s;&|'"\\]|[&|](?![&|]))+))/y

function* parseScript(script: string, lookUp: (name: string) => string | undefined): Generator<Step> {
  let joint: Step['joint'] = ';'
  let words: string[] = []
  TOKEN.lastIndex = 0
  const text = script.replaceAll(/[ \t]*\n\s*/g, ';')
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    if (match[2] !== undefined) {
      words.push(match[2])
      continue
    }
    const raw = words
    if (raw.length > 0) yield { joint, words: () => raw.map((word) => expandWord(word, lookUp)) }
    joint = (match[1] ?? ';') as Step['joint']
    words = []
  }
  const last = words
  if (last.length > 0) yield { joint, words: () => last.map((word) => expandWord(word, lookUp)) }
}

/** Takes quotes away and puts variables in, except within single quotes. */
function expandWord(word: string, lookUp: (name: string) => string | undefined): string {
  const expand = (text: string): string =>
    text.replaceAll(
      /\\(.)|\$\{(\w+)\}|\$(\w+|\?)/g,
      (_, escaped?: string, braced?: string, bare?: string) => escaped ?? lookUp(braced ?? bare ?? '') ?? '',
    )
  return word.replaceAll(
    /'([^']*)'|"((?:\\.|[^"\\])*)"|((?:\\.|[^'"\\])+)/g,
    (_, single?: string, double?: string, bare?: string) => single ?? expand(double ?? bare ?? ''),
  )
}
